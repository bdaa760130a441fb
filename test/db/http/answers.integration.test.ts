/** What a client is told when a request fails in its session, and what the log says of it. */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as OpenApi from "@effect/platform/OpenApi"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Schema } from "effect"
import { MainDb } from "../../../src/db/Database.ts"
import * as HttpSession from "../../../src/db/HttpSession.ts"
import { ConfigurationError, ServiceError } from "../../../src/Errors.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { faultWithTable, ids, insert } from "../../support/db/faults.ts"
import { patient, quiet, serving, servingApp } from "../../support/http/serving.ts"

const session = HttpSession.make(MainDb)
const ok = HttpServerResponse.text("ok")

/** Everything that is logged, as text. */
const logged = Effect.sync(() => {
  const lines: Array<string> = []
  return {
    lines,
    layer: Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ annotations, cause, logLevel, message }) => {
        lines.push(JSON.stringify([logLevel.label, message, cause, [...annotations]]))
      })
    )
  }
})

const failWith = (error: ServiceError | ConfigurationError) => Effect.fail(error)
const service = (retryable: boolean, outcome?: "unknown") =>
  new ServiceError({
    service: "S3",
    operation: "PutObject",
    reason: "Throttled",
    retryable,
    attempts: 3,
    detail: "hush",
    ...(outcome === undefined ? {} : { outcome })
  })

describe("the answer to an error", () => {
  faultWithTable("says no more than its kind, and the log says it once", patient, (stage) =>
    Effect.gen(function*() {
      const { layer, lines } = yield* logged
      const routes = HttpRouter.empty.pipe(
        HttpRouter.get("/duplicate", Effect.as(Effect.zipRight(insert(7), insert(7)), ok)),
        HttpRouter.get("/syntax", Effect.as(MainDb.use((sql) => sql`SELECT hush FROM ${sql("hush")}`), ok)),
        HttpRouter.get("/plain", Effect.flatMap(MainDb, (sql) => Effect.as(sql`SELECT hush`, ok))),
        HttpRouter.get("/busy", failWith(service(true))),
        HttpRouter.get("/broken", failWith(service(false))),
        HttpRouter.get("/unknown", failWith(service(true, "unknown"))),
        HttpRouter.get(
          "/config",
          failWith(new ConfigurationError({ service: "hush", reason: "NotConfigured", problems: [] }))
        ),
        HttpRouter.get("/defect", Effect.zipRight(insert(9), Effect.orDie(failWith(service(true))))),
        HttpRouter.use(session)
      )
      const client = yield* servingApp(routes).pipe(Effect.provide(layer))
      const expected = {
        "/duplicate": [500, "Failed"],
        "/syntax": [500, "Failed"],
        "/plain": [500, "Failed"],
        "/busy": [503, "Unavailable"],
        "/broken": [500, "Failed"],
        "/unknown": [500, "OutcomeUnknown"],
        "/config": [500, "Failed"],
        "/defect": [503, "Unavailable"]
      } as const
      for (const [path, [status, tag]] of Object.entries(expected)) {
        lines.length = 0
        const answer = yield* client.get(path)
        expect([path, answer.status, JSON.parse(answer.body)._tag]).toEqual([path, status, tag])
        expect(answer.headers["retry-after"]).toBe(status === 503 ? "1" : undefined)
        expect(answer.body).not.toMatch(/hush|SELECT|INSERT|PRIMARY|MainDb|S3/)
        expect(lines.filter((line) => line.includes("HttpSession"))).toHaveLength(1)
        expect(lines[0]).toContain(`["http.route","${path}"]`)
      }
      expect(yield* ids(stage)).toEqual([])
    }))

  faultWithTable("is 409 where the route asks for it", patient, (stage) =>
    Effect.gen(function*() {
      const twice = Effect.as(Effect.zipRight(insert(7), insert(7)), ok)
      const routes = HttpRouter.empty.pipe(
        HttpRouter.get("/any", HttpSession.conflict()(twice)),
        HttpRouter.get("/named", HttpSession.conflict({ constraint: "PRIMARY", message: "taken" })(twice)),
        HttpRouter.get("/other", HttpSession.conflict({ constraint: ["email"] })(twice)),
        HttpRouter.use(session)
      )
      const client = yield* servingApp(routes).pipe(Effect.provide(quiet))
      expect(yield* client.get("/any")).toMatchObject({ status: 409 })
      const named = yield* client.get("/named")
      expect([named.status, JSON.parse(named.body)]).toEqual([409, { _tag: "Conflict", message: "taken" }])
      expect(yield* client.get("/other")).toMatchObject({ status: 500 })
      expect(yield* ids(stage)).toEqual([])
    }))
})

const Row = Schema.Struct({ n: Schema.NonEmptyString })
const row = MainDb.use((sql) => sql`SELECT 'hush' AS other`)
const ask = Schema.Struct({ ask: Schema.Number })

describe("what does not fit its schema", () => {
  faultWithTable("is the client's fault only if it came from the client", patient, () =>
    Effect.gen(function*() {
      const { layer, lines } = yield* logged
      const after = <A, E, R>(decode: Effect.Effect<A, E, R>) => Effect.as(Effect.zipRight(row, decode), ok)
      const routes = HttpRouter.empty.pipe(
        HttpRouter.get("/row", Effect.as(Effect.flatMap(row, ([first]) => Schema.decodeUnknown(Row)(first)), ok)),
        HttpRouter.post("/body", after(HttpServerRequest.schemaBodyJson(ask))),
        HttpRouter.post(
          "/form",
          after(HttpServerRequest.schemaBodyUrlParams(Schema.Struct({ ask: Schema.NumberFromString })))
        ),
        HttpRouter.get("/query", after(HttpServerRequest.schemaSearchParams(Schema.Struct({ ask: Schema.String })))),
        HttpRouter.get(
          "/path/:ask",
          after(HttpRouter.schemaPathParams(Schema.Struct({ ask: Schema.NumberFromString })))
        ),
        HttpRouter.get("/both/:ask", after(HttpRouter.schemaParams(Schema.Struct({ ask: Schema.NumberFromString })))),
        HttpRouter.get("/headers", after(HttpServerRequest.schemaHeaders(Schema.Struct({ ask: Schema.String })))),
        HttpRouter.get("/cookies", after(HttpServerRequest.schemaCookies(Schema.Struct({ ask: Schema.String })))),
        HttpRouter.post("/all", after(HttpRouter.schemaJson(Schema.Struct({ body: ask })))),
        HttpRouter.get(
          "/before",
          Effect.as(HttpServerRequest.schemaHeaders(Schema.Struct({ ask: Schema.String })), ok)
        ),
        HttpRouter.use(session)
      )
      const client = yield* servingApp(routes).pipe(Effect.provide(layer))
      const json = { method: "POST", send: "{\"ask\":\"no\"}", headers: { "content-type": "application/json" } }
      const form = { method: "POST", send: "ask=no", headers: { "content-type": "application/x-www-form-urlencoded" } }
      const statusOf = (path: string, options?: object) => Effect.map(client.get(path, options), ({ status }) => status)
      expect(yield* statusOf("/row")).toBe(500)
      expect(lines.join()).toContain("[n]")
      expect(lines.join()).not.toContain("hush")
      for (
        const [path, options] of [
          ["/body", json],
          ["/all", json],
          ["/form", form],
          ["/query?a=1"],
          ["/path/x"],
          ["/both/x?y=1"],
          ["/headers"],
          ["/cookies"],
          ["/before"]
        ] as const
      ) {
        expect([path, yield* statusOf(path, options)]).toEqual([path, 400])
      }
    }))

  const api = HttpApi.make("api").add(
    HttpApiGroup.make("all")
      .add(HttpApiEndpoint.get("encode", "/encode").addSuccess(Row))
      .add(HttpApiEndpoint.get("many", "/many").addSuccess(Row).addSuccess(Schema.BigIntFromSelf, { status: 201 }))
      .add(HttpApiEndpoint.post("decode", "/decode").setPayload(ask))
  )
  const live = HttpApiBuilder.group(api, "all", (handlers) =>
    handlers
      .handle("encode", () => Effect.as(Effect.orDie(insert(1)), { n: "" }))
      .handle("many", () => Effect.succeed(1n))
      .handle("decode", () => Effect.asVoid(Effect.orDie(insert(1)))))
  const doors = {
    "HttpApiBuilder": Layer.provide(HttpApiBuilder.serve(), [
      HttpApiBuilder.middleware(session.bound),
      Layer.provide(HttpApiBuilder.api(api), live)
    ]),
    "HttpLayerRouter": HttpLayerRouter.serve(
      HttpLayerRouter.addHttpApi(api).pipe(
        Layer.provide(live),
        Layer.provide(HttpLayerRouter.middleware(session.bound).layer)
      ),
      { disableLogger: true, disableListenLog: true }
    )
  }
  for (const [door, serve] of Object.entries(doors)) {
    faultWithTable(
      `${door}: a success that cannot be encoded is a 500, without its values`,
      patient,
      (stage) =>
        Effect.gen(function*() {
          const client = yield* serving(serve as Layer.Layer<never>).pipe(Effect.provide(quiet))
          const { body, status } = yield* client.get("/encode")
          expect([status, JSON.parse(body)._tag]).toEqual([500, "Failed"])
          const many = yield* client.get("/many")
          expect([many.status, JSON.parse(many.body)._tag]).toEqual([500, "Failed"])
          // The second is what `@effect/platform` says of a success that cannot be encoded.
          for (const ask of ["no", "(<declaration schema> <-> x", "\"message\":\"(<declaration schema> <-> x"]) {
            for (const value of [{ ask }, ask]) {
              const refused = yield* client.get("/decode", {
                method: "POST",
                send: JSON.stringify(value),
                headers: { "content-type": "application/json" }
              })
              expect([value, refused.status, JSON.parse(refused.body)._tag]).toEqual([value, 400, "HttpApiDecodeError"])
            }
          }
          expect(yield* ids(stage)).toEqual([])
        })
    )
  }

  it("the errors are in the description of an API, with their statuses", () => {
    const described = OpenApi.fromApi(
      HttpApi.make("api").addError(HttpSession.Unavailable).addError(HttpSession.Failed).addError(
        HttpSession.OutcomeUnknown
      ).add(HttpApiGroup.make("all").add(HttpApiEndpoint.post("add", "/").addError(HttpSession.Conflict)))
    )
    expect(Object.keys(described.paths["/"]!.post!.responses)).toEqual(expect.arrayContaining(["409", "500", "503"]))
    const names = Object.keys(described.components.schemas)
    expect(names).toEqual(expect.arrayContaining(["HttpSession.Conflict", "HttpSession.OutcomeUnknown"]))
    // OpenAPI 3.1, 4.8.7.
    expect(names.filter((name) => !/^[a-zA-Z0-9._-]+$/.test(name))).toEqual([])
  })
})

describe("in a middleware of the server", () => {
  it("a session refuses to start", () => {
    expect(() => HttpSession.make(MainDb)(Effect.succeed(ok))).not.toThrow()
  })

  faultWithTable(
    "a session refuses to start: HttpServer.serve, HttpApiBuilder.serve, HttpLayerRouter.serve",
    patient,
    () =>
      Effect.gen(function*() {
        const api = HttpApiBuilder.api(HttpApi.make("api"))
        for (
          const serve of [
            HttpServer.serve(Effect.succeed(ok), session as any),
            Layer.provide(HttpApiBuilder.serve(session as any), api),
            HttpLayerRouter.serve(HttpLayerRouter.add("GET", "/", ok), { middleware: session as any })
          ]
        ) {
          const exit = yield* Effect.exit(serving(serve as Layer.Layer<never>))
          expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain(
            "would commit after the response has been sent"
          )
        }
      })
  )

  faultWithTable(
    "what gets past that is refused at each request, and rolled back",
    patient,
    (stage) =>
      Effect.gen(function*() {
        yield* connectionId
        // A bundler has renamed the functions of the platform.
        const hidden: any = (app: any) => Effect.suspend(() => session(app))
        const client = yield* servingApp(Effect.as(insert(1), ok))
        expect(yield* client.get("/")).toMatchObject({ status: 200 })
        const wrong = yield* serving(HttpServer.serve(Effect.as(insert(2), ok), hidden) as Layer.Layer<never>).pipe(
          Effect.provide(quiet)
        )
        expect(yield* wrong.get("/")).toMatchObject({ status: 500 })
        expect(yield* wrong.get("/", { headers: { upgrade: "h2c" } })).toMatchObject({ status: 500 })
        expect(yield* ids(stage)).toEqual([1])
      })
  )
})
