/** `HttpSession` behind every door of @effect/platform: what is committed, and what the client is told. */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, expect } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { MainDb } from "../../../src/db/Database.ts"
import * as HttpSession from "../../../src/db/HttpSession.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { faultWithTable, ids, insert } from "../../support/db/faults.ts"
import type { Stage } from "../../support/db/stage.ts"
import { eventually } from "../../support/eventually.ts"
import { type Client, patient, quiet, serving, servingApp } from "../../support/http/serving.ts"

const session = HttpSession.make(MainDb)
const ok = HttpServerResponse.text("ok")
const slow = MainDb.use((sql) => sql`SELECT SLEEP(20)`)

const paths = {
  "/ok": Effect.as(insert(1), ok),
  "/fail": Effect.zipRight(insert(1), Effect.die("as it was")),
  "/400": Effect.as(insert(1), HttpServerResponse.empty({ status: 400 })),
  "/slow": Effect.zipRight(insert(1), Effect.as(slow, ok))
} as const

const router = Object.entries(paths).reduce(
  (all, [path, handler]) => HttpRouter.get(all, path as "/ok", Effect.orDie(handler)),
  HttpRouter.empty as HttpRouter.HttpRouter<never, MainDb>
)

const endpoints = Object.keys(paths).map((path) =>
  HttpApiEndpoint.get(path.slice(1), path as `/${string}`).addSuccess(Schema.String)
)
const group = endpoints.reduce((all, endpoint) => all.add(endpoint as any) as any, HttpApiGroup.make("all"))
const api = HttpApi.make("api").add(group as any)
const handlers = HttpApiBuilder.group(
  api as any,
  "all" as never,
  (all: any) =>
    Object.entries(paths).reduce(
      (made, [path, handler]) => made.handleRaw(path.slice(1), () => Effect.orDie(handler as any)),
      all
    )
) as Layer.Layer<any, never, any>
const apiLive = Layer.provide(HttpApiBuilder.api(api as any), handlers) as Layer.Layer<any, never, any>

const routes = Layer.mergeAll(
  ...Object.entries(paths).map(([path, handler]) =>
    HttpLayerRouter.add("GET", path as `/${string}`, Effect.orDie(handler as Effect.Effect<any, any, MainDb>))
  ) as [Layer.Layer<never, never, any>]
)

/** Each place in which a session can be, as a server. */
const doors: Readonly<Record<string, Layer.Layer<never, any, any>>> = {
  "HttpRouter.use": HttpServer.serve(HttpRouter.use(router, session)),
  "a router that is mounted": HttpServer.serve(
    HttpRouter.mount(HttpRouter.empty, "/", HttpRouter.use(router, session))
  ),
  "around a router": HttpServer.serve(session(router)),
  "HttpApiBuilder.middleware": Layer.provide(HttpApiBuilder.serve(), [
    HttpApiBuilder.middleware(session.bound),
    apiLive
  ]) as Layer.Layer<never, any, any>,
  "HttpLayerRouter.middleware of routes": HttpLayerRouter.serve(
    Layer.provide(routes, HttpLayerRouter.middleware(session.bound).layer),
    { disableLogger: true, disableListenLog: true }
  ) as Layer.Layer<never, any, any>,
  "HttpLayerRouter.middleware for all": HttpLayerRouter.serve(
    Layer.provide(routes, HttpLayerRouter.middleware(session.bound, { global: true })),
    { disableLogger: true, disableListenLog: true }
  ) as Layer.Layer<never, any, any>,
  "HttpLayerRouter.addHttpApi": HttpLayerRouter.serve(
    HttpLayerRouter.addHttpApi(api as any).pipe(
      Layer.provide(handlers),
      Layer.provide(HttpLayerRouter.middleware(session.bound).layer)
    ),
    { disableLogger: true, disableListenLog: true }
  ) as Layer.Layer<never, any, any>
}

const with_ =
  (serve: Layer.Layer<never, any, any>) =>
  (body: (client: Client, stage: Stage) => Effect.Effect<unknown, any, any>) =>
  (stage: Stage): Effect.Effect<unknown, any, any> =>
    Effect.flatMap(Effect.provide(serving(serve), quiet), (client) => body(client, stage))

/** A client that goes away while its statement runs: that is stopped, and nothing of the request stays. */
const leaving = (client: Client, path: string, stage: Stage) =>
  Effect.gen(function*() {
    const socket = yield* client.open(path)
    yield* eventually(
      Effect.map(stage.threads, (threads) => {
        expect(threads.map(({ info }) => info)).toContainEqual(expect.stringContaining("SLEEP"))
      })
    )
    socket.destroy()
    yield* eventually(Effect.map(MainDb.stats, ({ active }) => expect(active).toBe(0)), "5 seconds")
    expect(yield* ids(stage)).toEqual([])
  })

for (const [door, serve] of Object.entries(doors)) {
  describe(door, () => {
    const at = with_(serve)

    faultWithTable(
      "success is committed before it is answered",
      patient,
      at((client, stage) =>
        Effect.gen(function*() {
          expect(yield* client.get("/ok")).toMatchObject({ status: 200 })
          expect(yield* ids(stage)).toEqual([1])
        })
      )
    )

    faultWithTable(
      "a COMMIT whose answer is lost is no success",
      patient,
      at((client, stage) =>
        Effect.gen(function*() {
          yield* connectionId
          yield* stage.proxy.trap("COMMIT", "lose")
          const { body, status } = yield* client.get("/ok")
          expect({ status, body: JSON.parse(body) }).toMatchObject({ status: 500, body: { _tag: "OutcomeUnknown" } })
        })
      )
    )

    faultWithTable(
      "a defect and a status of 400 roll back",
      patient,
      at((client, stage) =>
        Effect.gen(function*() {
          expect(yield* client.get("/fail")).toMatchObject({ status: 500, body: "" })
          expect(yield* client.get("/400")).toMatchObject({ status: 400 })
          expect(yield* ids(stage)).toEqual([])
        })
      )
    )

    faultWithTable(
      "a client that goes away stops the work and rolls back",
      patient,
      at((client, stage) => leaving(client, "/slow", stage))
    )
  })
}

describe("a bare app", () => {
  faultWithTable(
    "is interrupted by a client that goes away, and rolls back",
    patient,
    (stage) =>
      Effect.gen(function*() {
        const mounted = HttpRouter.empty.pipe(HttpRouter.mountApp("/m", session(paths["/slow"])))
        for (const [app, path] of [[session(paths["/slow"]), "/"], [mounted, "/m/"]] as const) {
          const client = yield* servingApp(app).pipe(Effect.provide(quiet))
          yield* leaving(client, path, stage)
        }
      })
  )
})
