/** The status page over values that a test sets. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Status } from "../../../src/internal/health/model.ts"
import { response as statusPage } from "../../../src/internal/health/statusPage.ts"

type Answer = Status | ((response: ServerResponse) => void)

export interface StatusServer {
  readonly url: string
  /** What `status.json` is answered with from now on. */
  answer: Answer
  /** How often it was asked for. */
  readonly requests: () => number
  /** Ends it, connections included. */
  readonly stop: () => Promise<void>
  /** Starts it again on the same port. */
  readonly start: () => Promise<void>
}

const encode = Schema.encodeSync(Schema.parseJson(Status))

export const statusServer = async (first: Answer): Promise<StatusServer> => {
  let requests = 0
  const page = HttpServerResponse.toWeb(statusPage())
  const html = await page.text()
  const server = createServer(({ url }, response) => {
    if (url === "/internal/status") {
      response.writeHead(200, Object.fromEntries(page.headers)).end(html)
    } else if (url === "/internal/status.json") {
      requests += 1
      if (typeof self.answer === "function") self.answer(response)
      else response.writeHead(200, { "content-type": "application/json" }).end(encode(self.answer))
    } else response.writeHead(404).end()
  })
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
  await listen(0)
  const { port } = server.address() as AddressInfo
  const self: StatusServer = {
    url: `http://127.0.0.1:${port}/internal/status`,
    answer: first,
    requests: () => requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
    start: () => listen(port)
  }
  return self
}

const time = (text: string) => DateTime.unsafeMake(text)

/** A process with much to tell. */
export const busy: Status = {
  time: time("2026-11-30T12:31:04.250Z"),
  process: {
    pid: 4711,
    nodeVersion: "22.21.1",
    uptimeSeconds: 93_784,
    rssBytes: 187_432_960,
    heapUsedBytes: 96_468_992,
    eventLoopLagMillis: 3.4,
    draining: false
  },
  databases: [
    {
      name: "MainDb",
      pool: {
        ...{ idle: 4, active: 13, dialling: 1, waiting: 6, size: 18, overflow: 8, max: 20 },
        ...{ opened: 61, dialFailures: 0, timeouts: 2, recycled: 12 },
        discarded: { broken: 1, pingFailed: 2, resetFailed: 0, overflow: 9, invalidated: 0 }
      }
    },
    {
      name: "GarminDb",
      pool: {
        ...{ idle: 2, active: 1, dialling: 0, waiting: 0, size: 3, overflow: 0, max: 20 },
        ...{ opened: 3, dialFailures: 0, timeouts: 0, recycled: 0 },
        discarded: { broken: 0, pingFailed: 0, resetFailed: 0, overflow: 0, invalidated: 0 }
      }
    },
    { name: "BloodDb", pool: null }
  ],
  queues: [
    {
      name: "Queue",
      consumers: [
        {
          ...{ name: "summaries", queue: "chat-jobs", state: "running", inFlight: 7, polls: 5_120 },
          lastPollAt: time("2026-11-30T12:31:02.100Z"),
          lastError: null,
          succeeded: 48_213,
          failed: 0
        },
        {
          ...{ name: "letters", queue: "chat-jobs", state: "draining", inFlight: 1, polls: 812 },
          lastPollAt: time("2026-11-30T12:30:21.000Z"),
          lastError: {
            error: "ServiceError",
            of: "SQS",
            reason: "Throttled",
            message: "SQS receiveMessage was throttled, after 3 attempts → it is tried again by itself"
          },
          succeeded: 902,
          failed: 14
        }
      ]
    },
    { name: "EmailQueue", consumers: [] }
  ],
  outbox: {
    messages: 128,
    oldestSeconds: 95,
    relays: [{
      state: "running",
      shards: [0, 1, 2, 3, 4, 5, 6, 7],
      blocked: [{
        id: "7f0c2c59-5d0e-4cf4-9f4e-3a9f3d9b8f11",
        queue: "Queue",
        messageGroupId: "discussion-42",
        reason: "PayloadTooLarge"
      }],
      lastError: null
    }]
  },
  health: {
    status: "warn",
    checks: [
      {
        name: "eventLoop",
        component: "process",
        status: "pass",
        observed: { lagMillis: 3.4 },
        time: time("2026-11-30T12:31:04Z")
      },
      {
        name: "MainDb",
        component: "database",
        status: "warn",
        detail: "6 borrowers wait for a connection",
        observed: { active: 13, idle: 4, waiting: 6, max: 20 },
        time: time("2026-11-30T12:31:04Z")
      },
      {
        name: "Storage",
        component: "storage",
        status: "pass",
        observed: { latencyMillis: 21, bucket: "chat-files" },
        time: time("2026-11-30T12:31:04Z")
      }
    ]
  },
  ready: { status: "pass", checks: [] },
  recentErrors: [
    {
      error: "DatabaseError",
      of: "MainDb",
      reason: "PoolTimeout",
      message:
        "MainDb: no connection was free within 30 s (13 active, 6 waiting) → raise MAIN_DB_POOL_SIZE, or hold connections for less time",
      time: time("2026-11-30T12:30:58Z"),
      level: "ERROR"
    },
    {
      error: "ServiceError",
      of: "S3",
      reason: "ObjectNotFound",
      message: "S3 getObject: there is no such object",
      time: time("2026-11-30T12:12:40Z"),
      level: "WARN"
    }
  ]
}
