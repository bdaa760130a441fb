/**
 * A process that serves HTTP from a database and ends in order. It tells on its output what it is doing, one word a line.
 *
 * Settings: MAIN_DB_URL, DELAY, DEADLINE.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { createServer } from "node:http"
import { MainDb } from "../../../src/db/Database.ts"
import { Health } from "../../../src/Health.ts"
import * as HttpShutdown from "../../../src/HttpShutdown.ts"

const say = (word: string): Effect.Effect<void> => Effect.sync(() => process.stdout.write(`${word}\n`))
const insert = (name: string) => MainDb.use((sql) => sql`INSERT INTO done (name) VALUES (${name})`)

const routes = HttpRouter.empty.pipe(
  HttpRouter.get(
    "/handler",
    MainDb.withTransaction(Effect.gen(function*() {
      yield* insert("handler")
      yield* say("handler")
      yield* Effect.sleep("500 millis")
      yield* insert("handler again")
      return yield* HttpServerResponse.text("done")
    }))
  ),
  HttpRouter.get(
    "/commit",
    MainDb.withTransaction(Effect.zipRight(
      Effect.zipRight(insert("commit"), say("commit")),
      HttpServerResponse.text("done")
    ))
  ),
  HttpRouter.get(
    "/slow",
    MainDb.withTransaction(Effect.gen(function*() {
      yield* insert("slow")
      yield* say("slow")
      yield* Effect.never
      return yield* HttpServerResponse.text("done")
    })).pipe(Effect.onInterrupt(() => say("interrupted")))
  ),
  HttpRouter.get(
    "/stream",
    Effect.succeed(HttpServerResponse.stream(
      Stream.fromSchedule(Schedule.spaced("100 millis")).pipe(
        Stream.take(8),
        Stream.tap((index) => index === 1 ? say("stream") : Effect.void),
        Stream.map((index) => new TextEncoder().encode(`${index};`))
      )
    ))
  ),
  HttpRouter.get("/large", Effect.succeed(HttpServerResponse.uint8Array(new Uint8Array(30_000_000)))),
  HttpRouter.get(
    "/socket",
    Effect.gen(function*() {
      const socket = yield* HttpServerRequest.upgrade
      yield* Effect.ignore(socket.runRaw(() => {}))
      return HttpServerResponse.empty()
    })
  )
)

const server = createServer()

NodeRuntime.runMain(
  HttpServer.serve(HttpRouter.concat(routes, Health.router)).pipe(
    HttpShutdown.drain(server, {
      delay: `${Number(process.env["DELAY"])} millis`,
      deadline: `${Number(process.env["DEADLINE"])} millis`
    }),
    Layer.tap(() => Effect.suspend(() => say(`port ${(server.address() as { readonly port: number }).port}`))),
    Layer.provide(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })),
    Layer.provide(Health.layerWith({ databases: [MainDb] })),
    Layer.provide(MainDb.layer),
    Layer.launch
  )
)
