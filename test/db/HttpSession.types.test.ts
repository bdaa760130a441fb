/** What the compiler says of a session at each door of @effect/platform. */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { expectTypeOf, it } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import { GarminDb, MainDb } from "../../src/db/Database.ts"
import * as HttpSession from "../../src/db/HttpSession.ts"
import type { DatabaseError, ServiceError } from "../../src/Errors.ts"

class Missing extends Schema.TaggedError<Missing>()("Missing", {}) {}

const handler = Effect.gen(function*() {
  const sql = yield* MainDb
  yield* sql`SELECT 1`
  yield* GarminDb.use((sql) => sql`SELECT 1`)
  if (Math.random() > 2) return yield* new Missing()
  return HttpServerResponse.empty()
})

const session = HttpSession.make(MainDb, GarminDb)

it("errors of ours leave the channel, those of the handler stay", () => {
  expectTypeOf(session(handler)).toEqualTypeOf<HttpApp.Default<Missing, MainDb | GarminDb>>()
  const failing = Effect.fail({} as ServiceError | DatabaseError)
  expectTypeOf(session(failing)).toEqualTypeOf<HttpApp.Default<never, MainDb | GarminDb>>()
})

it("HttpRouter.use", () => {
  const router = HttpRouter.empty.pipe(HttpRouter.get("/", handler), HttpRouter.use(session))
  expectTypeOf(router).toEqualTypeOf<HttpRouter.HttpRouter<Missing, MainDb | GarminDb>>()
})

it("HttpLayerRouter.middleware, of routes and of all", () => {
  const routes = HttpLayerRouter.middleware(session.bound).layer
  expectTypeOf(routes).toEqualTypeOf<Layer.Layer<never, never, MainDb | GarminDb>>()
  const all = HttpLayerRouter.middleware(session.bound, { global: true })
  expectTypeOf(all).toEqualTypeOf<Layer.Layer<never, never, HttpLayerRouter.HttpRouter | MainDb | GarminDb>>()
})

it("HttpApiBuilder.middleware, and errors in an API", () => {
  const all = HttpApiBuilder.middleware(session.bound)
  expectTypeOf<Layer.Layer.Context<typeof all>>().toEqualTypeOf<MainDb | GarminDb>()
  const api = HttpApi.make("api").addError(HttpSession.Unavailable).addError(HttpSession.OutcomeUnknown).add(
    HttpApiGroup.make("users").add(HttpApiEndpoint.post("add", "/").addError(HttpSession.Conflict))
  )
  HttpApiBuilder.group(
    api,
    "users",
    (handlers) =>
      handlers.handle("add", () =>
        MainDb.use((sql) => sql`INSERT INTO t VALUES (1)`).pipe(
          Effect.asVoid,
          HttpSession.conflict({ message: "taken" }),
          Effect.catchTag("DatabaseError", Effect.die)
        ))
  )
})

it("marks are responses, and `none` changes no type", () => {
  expectTypeOf(HttpSession.keep(HttpServerResponse.empty())).toEqualTypeOf<HttpServerResponse.HttpServerResponse>()
  expectTypeOf(HttpSession.none(handler)).toEqualTypeOf<typeof handler>()
})
