/** The handlers of `examples/` for Fastify and Hono, over real HTTP: what was answered is what is in the database. */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type * as Scope from "effect/Scope"
import { createConnection } from "mysql2/promise"
import { once } from "node:events"
import type { Server } from "node:http"
import { connect } from "node:net"
import type { AddressInfo } from "node:net"
import * as Fastify from "../../examples/fastify.ts"
import * as Hono from "../../examples/hono.ts"
import { CAPACITY, shutdown } from "../../examples/http/session.ts"
import type { MainDb } from "../../src/db/Database.ts"
import { faultOnStage } from "../support/db/faults.ts"
import { layerOf, type Stage } from "../support/db/stage.ts"
import { eventually } from "../support/eventually.ts"

type Runtime = ManagedRuntime.ManagedRuntime<MainDb, unknown>

interface Running {
  readonly server: Server
  readonly close: () => Promise<unknown>
}

const frameworks: Readonly<Record<string, (runtime: Runtime) => Promise<Running>>> = {
  Fastify: async (runtime) => {
    const app = Fastify.makeServer(runtime)
    await app.listen({ port: 0, host: "127.0.0.1" })
    return { server: app.server, close: () => app.close() }
  },
  Hono: async (runtime) => {
    const server = Hono.makeServer(Hono.makeApp(runtime), 0)
    if (!server.listening) await once(server, "listening")
    return { server, close: () => new Promise((resolve) => server.close(resolve)) }
  }
}

const serving = (
  stage: Stage,
  start: (runtime: Runtime) => Promise<Running>
): Effect.Effect<{ readonly port: number; readonly stop: Effect.Effect<void> }, never, Scope.Scope> =>
  Effect.gen(function*() {
    yield* stage.admin(
      `CREATE TABLE ${stage.database}.people (name VARCHAR(100) PRIMARY KEY) ENGINE = InnoDB`
    )
    const runtime: Runtime = ManagedRuntime.make(
      Layer.merge(layerOf(stage.url), Logger.remove(Logger.defaultLogger))
    )
    const { close, server } = yield* Effect.promise(() => start(runtime))
    const stop = Effect.promise(() => shutdown({ close, cut: () => server.closeAllConnections() }, runtime))
    yield* Effect.addFinalizer(() => Effect.zipRight(Effect.sync(() => server.closeAllConnections()), stop))
    return { port: (server.address() as AddressInfo).port, stop }
  })

const post = (port: number, name: unknown) =>
  Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}/people`, {
      method: "POST",
      headers: { "content-type": "application/json", connection: "close" },
      body: JSON.stringify({ name }),
      signal: AbortSignal.timeout(10_000)
    })
    return { status: response.status, body: await response.text() }
  })

const names = ({ admin, database }: Stage) =>
  Effect.map(admin(`SELECT name FROM ${database}.people`), (rows) => rows.map(({ name }) => String(name)))

for (const [framework, start] of Object.entries(frameworks)) {
  describe(framework, () => {
    faultOnStage(
      "commits before it answers, and rolls back what is refused or fails",
      (stage) =>
        Effect.gen(function*() {
          const { port } = yield* serving(stage, start)
          expect(yield* post(port, "Ada")).toEqual({ status: 201, body: "{\"name\":\"Ada\"}" })
          expect(yield* names(stage)).toEqual(["Ada"])
          expect(yield* post(port, 7)).toMatchObject({ status: 422 })
          // It is there already; what the server says of it is for the log alone.
          expect(yield* post(port, "Ada")).toEqual({ status: 500, body: "{\"error\":\"internal error\"}" })
          const others = Array.from({ length: CAPACITY - 1 }, (_, index) => `('${index}')`)
          yield* stage.admin(`INSERT INTO ${stage.database}.people VALUES ${others.join()}`)
          expect(yield* post(port, "Grace")).toMatchObject({ status: 409 })
          expect(yield* names(stage)).toHaveLength(CAPACITY)
        })
    )

    faultOnStage("says that it is not known where the answer to COMMIT is lost", (stage) =>
      Effect.gen(function*() {
        const { port } = yield* serving(stage, start)
        expect(yield* post(port, "Ada")).toMatchObject({ status: 201 })
        yield* stage.proxy.trap("COMMIT", "lose")
        const reply = yield* post(port, "Grace")
        expect(reply.status).toBe(500)
        expect(reply.body).toContain("it may have been done")
        yield* stage.proxy.refuse
        yield* stage.proxy.reset
        expect(yield* post(port, "Edsger")).toMatchObject({ status: 503 })
        yield* stage.proxy.accept
        expect(yield* post(port, "Barbara")).toMatchObject({ status: 201 })
      }))

    faultOnStage("rolls back if the client goes, and ends with its layers", (stage) =>
      Effect.gen(function*() {
        const { port, stop } = yield* serving(stage, start)
        const other = yield* Effect.acquireRelease(
          Effect.promise(() => createConnection(stage.direct)),
          (connection) => Effect.promise(() => connection.end())
        )
        yield* Effect.promise(() => other.query("BEGIN"))
        yield* Effect.promise(() => other.query("INSERT INTO people VALUES ('Ada')"))
        const body = "{\"name\":\"Ada\"}"
        const socket = connect(port, "127.0.0.1").on("error", () => {})
        socket.write(
          "POST /people HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + `Content-Length: ${body.length}\r\n\r\n${body}`
        )
        const waiting = Effect.map(
          stage.threads,
          (threads) => threads.filter(({ info }) => info?.startsWith("INSERT") === true).length
        )
        yield* eventually(Effect.filterOrFail(waiting, (count) => count === 1))
        socket.destroy()
        yield* eventually(Effect.filterOrFail(waiting, (count) => count === 0))
        yield* Effect.promise(() => other.query("ROLLBACK"))
        expect(yield* post(port, "Grace")).toMatchObject({ status: 201 })
        expect(yield* names(stage)).toEqual(["Grace"])
        yield* Effect.timeout(stop, "5 seconds")
      }))
  })
}
