/** The end of an HTTP server, by signals to real processes. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as Http from "node:http"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"
import { type Stage, stageOn } from "./support/db/stage.ts"
import { server } from "./support/db/testServer.ts"
import { eventually } from "./support/eventually.ts"

const program = fileURLToPath(new URL("support/http/drainingServer.ts", import.meta.url))

interface Running {
  readonly port: number
  /** The words that it has said. */
  readonly said: () => ReadonlyArray<string>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Its code or signal, and how many milliseconds after the first signal it ended. */
  readonly ended: Effect.Effect<{ readonly how: number | string; readonly after: number }>
  readonly stage: Stage
  readonly names: Effect.Effect<ReadonlyArray<unknown>>
}

const start = (
  times: { readonly delay: number; readonly deadline: number }
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function*() {
    const stage = yield* stageOn(yield* server)
    yield* stage.admin(`CREATE TABLE ${stage.database}.done (name VARCHAR(32) NOT NULL)`)
    const child: ChildProcess = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, ["--import", "tsx", program], {
          env: {
            ...process.env,
            MAIN_DB_URL: stage.url,
            DELAY: String(times.delay),
            DEADLINE: String(times.deadline)
          },
          stdio: ["ignore", "pipe", "pipe"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    let output = ""
    child.stdout!.on("data", (chunk) => output += String(chunk))
    child.stderr!.on("data", (chunk) => output += String(chunk))
    let signalledAt = 0
    const ended = new Promise<{ readonly how: number | string; readonly after: number }>((resolve) => {
      child.once(
        "exit",
        (code, signal) => resolve({ how: signal ?? code ?? "", after: performance.now() - signalledAt })
      )
    })
    const said = () => output.split("\n")
    const port = yield* eventually(
      Effect.suspend(() => {
        const found = /^port (\d+)$/m.exec(output)?.[1]
        return found === undefined ? Effect.die(new Error(output)) : Effect.succeed(Number(found))
      }),
      "25 seconds"
    )
    return {
      port,
      said,
      signal: (signal) =>
        Effect.sync(() => {
          if (signalledAt === 0) signalledAt = performance.now()
          child.kill(signal)
        }),
      ended: Effect.promise(() => ended).pipe(
        Effect.timeout("15 seconds"),
        Effect.orDieWith(() => new Error(output))
      ),
      stage,
      names: Effect.map(stage.admin(`SELECT name FROM ${stage.database}.done ORDER BY name`), (rows) =>
        rows.map(({ name }) => name))
    }
  })

const until = ({ said }: Running, word: string): Effect.Effect<void> =>
  eventually(Effect.sync(() => expect(said()).toContain(word)))

interface Answer {
  readonly status: number
  readonly connection: string | undefined
  readonly text: string
}

const isReady = (port: number) => Effect.suspend(() => get(port, "/readyz"))

/** Sends a request now; what is returned waits for its answer. */
const get = (port: number, path: string, agent?: Http.Agent): Effect.Effect<Either.Either<Answer, Error>> => {
  const answer = new Promise<Either.Either<Answer, Error>>((resolve) => {
    const fail = (error: Error) => resolve(Either.left(error))
    Http.get({ host: "127.0.0.1", port, path, ...(agent === undefined ? {} : { agent }) }, (response) => {
      let text = ""
      response.on("data", (chunk) => text += String(chunk))
      response.on("error", fail)
      response.on(
        "end",
        () => resolve(Either.right({ status: response.statusCode!, connection: response.headers.connection, text }))
      )
    }).on("error", fail)
  })
  return Effect.promise(() => answer)
}

/** A connection that sends that much and tells what has come. */
const raw = (port: number, text: string) =>
  Effect.acquireRelease(
    Effect.async<{ readonly socket: Net.Socket; readonly received: () => Buffer; readonly closed: Promise<void> }>(
      (resume) => {
        const chunks: Array<Buffer> = []
        const socket = Net.connect(port, "127.0.0.1", () => {
          socket.write(text)
          resume(Effect.succeed({
            socket,
            received: () => Buffer.concat(chunks),
            closed: new Promise((resolve) => socket.once("close", () => resolve()))
          }))
        })
        socket.on("data", (chunk) => chunks.push(chunk))
        socket.on("error", () => {})
      }
    ),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const upgrade = [
  "GET /socket HTTP/1.1",
  "Host: localhost",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "",
  ""
].join("\r\n")

describe("SIGTERM", () => {
  it.scopedLive("a handler, a stream, a COMMIT and a slow reader end well, and idle connections hold nothing up", () =>
    Effect.gen(function*() {
      const running = yield* start({ delay: 300, deadline: 8_000 })
      const agent = new Http.Agent({ keepAlive: true })
      expect(yield* get(running.port, "/readyz", agent)).toMatchObject({ right: { status: 200 } })
      yield* raw(running.port, "")
      const reader = yield* raw(running.port, "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
      reader.socket.pause()
      const handler = get(running.port, "/handler")
      const stream = get(running.port, "/stream")
      yield* until(running, "handler")
      yield* until(running, "stream")
      // Its answer comes that much later.
      yield* running.stage.proxy.delay(300)
      const commit = get(running.port, "/commit")
      yield* until(running, "commit")
      yield* running.signal("SIGTERM")
      // For the balancer: it still listens, and says that it is not ready.
      yield* eventually(
        Effect.map(isReady(running.port), (ready) => expect(ready).toMatchObject({ right: { status: 503 } }))
      )
      expect(yield* handler).toMatchObject({ right: { status: 200, text: "done" } })
      expect(yield* stream).toMatchObject({ right: { status: 200, text: "0;1;2;3;4;5;6;7;" } })
      expect(yield* commit).toMatchObject({ right: { status: 200, text: "done", connection: "close" } })
      // It was ended long ago, and is read only now.
      reader.socket.resume()
      yield* Effect.promise(() => reader.closed)
      expect(reader.received().length).toBeGreaterThan(30_000_000)
      const { after } = yield* running.ended
      expect(after).toBeLessThan(7_000)
      expect(yield* running.names).toEqual(["commit", "handler", "handler again"])
      expect(yield* get(running.port, "/readyz")).toMatchObject({ left: { code: "ECONNREFUSED" } })
      expect(running.said().join("\n")).not.toContain("were cut")
      agent.destroy()
    }))

  it.scopedLive("what goes on at the deadline is cut and rolled back, also what is never read; a WebSocket is told", () =>
    Effect.gen(function*() {
      const running = yield* start({ delay: 0, deadline: 700 })
      const slow = get(running.port, "/slow")
      const never = yield* raw(running.port, "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
      never.socket.pause()
      const webSocket = yield* raw(running.port, upgrade)
      yield* until(running, "slow")
      yield* eventually(Effect.sync(() => expect(String(webSocket.received())).toContain("101 Switching Protocols")))
      yield* running.signal("SIGTERM")
      expect(yield* slow).toMatchObject({ left: { code: "ECONNRESET" } })
      yield* Effect.promise(() => webSocket.closed)
      expect(webSocket.received().subarray(-4)).toEqual(Buffer.of(0x88, 2, 0x03, 0xe9))
      const { after } = yield* running.ended
      expect(after).toBeGreaterThan(700)
      expect(after).toBeLessThan(8_000)
      expect(running.said()).toContain("interrupted")
      expect(running.said().join("\n")).toContain("2 requests were cut at the deadline")
      expect(yield* running.names).toEqual([])
    }))

  it.scopedLive("a second one ends the process at once; the server rolls back", () =>
    Effect.gen(function*() {
      const running = yield* start({ delay: 0, deadline: 10_000 })
      const slow = get(running.port, "/slow")
      yield* until(running, "slow")
      yield* running.signal("SIGTERM")
      yield* eventually(
        Effect.map(isReady(running.port), (ready) => expect(ready).toMatchObject({ left: { code: "ECONNREFUSED" } }))
      )
      yield* running.signal("SIGTERM")
      const { after, how } = yield* running.ended
      expect(how).toBe("SIGTERM")
      expect(after).toBeLessThan(5_000)
      expect(yield* slow).toMatchObject({ left: {} })
      yield* eventually(Effect.map(running.stage.threads, (threads) => expect(threads).toEqual([])))
      expect(yield* running.names).toEqual([])
    }))
})
