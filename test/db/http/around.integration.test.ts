/** A session that is further out than the router: it does not know which route will be found. */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, expect } from "@effect/vitest"
import { Effect, Layer, Logger, Schema } from "effect"
import { MainDb } from "../../../src/db/Database.ts"
import * as HttpSession from "../../../src/db/HttpSession.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { faultWithTable, ids, inUse } from "../../support/db/faults.ts"
import { eventually } from "../../support/eventually.ts"
import { quiet, serving, servingApp } from "../../support/http/serving.ts"

const session = HttpSession.make(MainDb)
const ok = HttpServerResponse.text("ok")
const ask = Schema.Struct({ ask: Schema.NumberFromString })

const after = <A, E, R>(decode: Effect.Effect<A, E, R>) => Effect.as(Effect.zipRight(connectionId, decode), ok)

const decoding = HttpRouter.empty.pipe(
  HttpRouter.post("/body", after(HttpServerRequest.schemaBodyJson(ask))),
  HttpRouter.post("/form", after(HttpServerRequest.schemaBodyUrlParams(ask))),
  HttpRouter.get("/query", after(HttpServerRequest.schemaSearchParams(ask))),
  HttpRouter.get("/path/:ask", after(HttpRouter.schemaPathParams(ask))),
  HttpRouter.get("/both/:ask", after(HttpRouter.schemaParams(ask))),
  HttpRouter.get("/headers", after(HttpServerRequest.schemaHeaders(ask))),
  HttpRouter.get("/cookies", after(HttpServerRequest.schemaCookies(ask))),
  HttpRouter.get("/row", after(Schema.decodeUnknown(ask)({ ask: "hush" })))
)

describe("what the request brought is the client's fault", () => {
  const json = { method: "POST", send: "{\"ask\":\"no\"}", headers: { "content-type": "application/json" } }
  const form = { method: "POST", send: "ask=no", headers: { "content-type": "application/x-www-form-urlencoded" } }
  const upgrade = { connection: "Upgrade", upgrade: "h2c" }
  const cases = [
    ["/body", json, 400],
    ["/form", form, 400],
    ["/body", { ...json, headers: { ...json.headers, ...upgrade } }, 400],
    ["/query?ask=n+o&b=1&b=2", {}, 400],
    ["/path/n%20o", {}, 400],
    ["/both/x?y=1", {}, 400],
    ["/headers", {}, 400],
    ["/cookies", {}, 400],
    ["/row", {}, 500]
  ] as const
  const apps = {
    "in a router": ["", HttpRouter.use(decoding, session)],
    "around a router": ["", session(decoding)],
    "around a router in a router": ["/a", session(HttpRouter.mount(HttpRouter.empty, "/a", decoding))],
    "around a router that is an app": ["/a", session(HttpRouter.mountApp(HttpRouter.empty, "/a", decoding))],
    "around a router that is mounted": ["/a", HttpRouter.mountApp(HttpRouter.empty, "/a", session(decoding))]
  } as const
  for (const [place, [prefix, app]] of Object.entries(apps)) {
    faultWithTable(place, {}, () =>
      Effect.gen(function*() {
        const client = yield* Effect.provide(servingApp(app), quiet)
        for (const [path, options, expected] of cases) {
          const { status } = yield* client.get(prefix + path, options)
          expect([path, options, status]).toEqual([path, options, expected])
        }
      }))
  }
})

faultWithTable("the log says the route that was found further in", {}, () =>
  Effect.gen(function*() {
    const routes: Array<unknown> = []
    const logger = Logger.make(({ annotations }) => {
      routes.push([...annotations].find(([key]) => key === "http.route")?.[1])
    })
    const client = yield* Effect.provide(servingApp(session(decoding)), Logger.replace(Logger.defaultLogger, logger))
    yield* client.get("/row")
    expect(routes).toContain("/row")
  }))

describe("a route that asks to be uninterruptible stays so", () => {
  const slow = Effect.as(Effect.orDie(MainDb.use((sql) => sql`INSERT INTO t SELECT 1, SLEEP(0.4)`)), ok)
  const router = HttpRouter.get(HttpRouter.empty, "/", slow, { uninterruptible: true })
  const api = HttpApi.make("api").add(
    HttpApiGroup.make("all").add(HttpApiEndpoint.get("slow", "/").addSuccess(Schema.String))
  )
  const group = HttpApiBuilder.group(
    api,
    "all",
    (handlers) => handlers.handleRaw("slow", () => slow, { uninterruptible: true })
  )
  const quietly = { disableLogger: true, disableListenLog: true }
  const route = HttpLayerRouter.add("GET", "/", slow, { uninterruptible: true })
  const doors = {
    "around a router": HttpServer.serve(session(router)),
    "around a router that is mounted": HttpServer.serve(HttpRouter.mountApp(HttpRouter.empty, "/", session(router))),
    "HttpApiBuilder.middleware": Layer.provide(HttpApiBuilder.serve(), [
      HttpApiBuilder.middleware(session.bound),
      Layer.provide(HttpApiBuilder.api(api), group)
    ]),
    "HttpLayerRouter.middleware of routes": HttpLayerRouter.serve(
      Layer.provide(route, HttpLayerRouter.middleware(session.bound).layer),
      quietly
    ),
    "HttpLayerRouter.middleware for all": HttpLayerRouter.serve(
      Layer.provide(route, HttpLayerRouter.middleware(session.bound, { global: true })),
      quietly
    )
  }
  for (const [door, serve] of Object.entries(doors)) {
    faultWithTable(door, {}, (stage) =>
      Effect.gen(function*() {
        const client = yield* serving(serve as Layer.Layer<never>).pipe(Effect.provide(quiet))
        const socket = yield* client.open("/")
        yield* inUse(1)
        socket.destroy()
        yield* inUse(0)
        yield* eventually(Effect.map(ids(stage), (found) => expect(found).toEqual([1])))
      }))
  }
})
