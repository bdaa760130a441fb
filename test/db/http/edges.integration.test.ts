/** What a handler does at the edges of its session: it asks for a socket in vain, and leaves the session by `none`. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as SqlResolver from "@effect/sql/SqlResolver"
import { expect } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { MainDb } from "../../../src/db/Database.ts"
import * as HttpSession from "../../../src/db/HttpSession.ts"
import { faultWithTable, ids, insert } from "../../support/db/faults.ts"
import { quiet, servingApp } from "../../support/http/serving.ts"

const session = HttpSession.make(MainDb)
const ok = HttpServerResponse.text("ok")

const places: Readonly<
  Record<string, <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<Exclude<E, HttpSession.AnyError>, R | MainDb>>
> = {
  "in a session": session,
  "in a session within a session": (app) => session(session(app))
}

for (const [place, around] of Object.entries(places)) {
  faultWithTable(
    `a request that cannot become a WebSocket keeps its session, ${place}`,
    {},
    (stage) =>
      Effect.gen(function*() {
        const router = HttpRouter.empty.pipe(
          HttpRouter.get("/fails", Effect.as(Effect.zipRight(insert(1), HttpServerRequest.upgrade), ok)),
          HttpRouter.get(
            "/goes-on",
            Effect.gen(function*() {
              yield* insert(2)
              yield* Effect.ignore(HttpServerRequest.upgrade)
              yield* insert(3)
              return HttpServerResponse.empty({ status: 404 })
            })
          ),
          HttpRouter.get(
            "/statement",
            Effect.zipRight(Effect.ignore(HttpServerRequest.upgrade), MainDb.use((sql) => sql`SELECT hush`)).pipe(
              Effect.as(ok)
            )
          )
        )
        const client = yield* Effect.provide(servingApp(around(router)), quiet)
        expect((yield* client.get("/fails")).status).toBe(400)
        expect((yield* client.get("/goes-on")).status).toBe(404)
        expect(JSON.parse((yield* client.get("/statement")).body)).toMatchObject({ _tag: "Failed" })
        expect(yield* ids(stage)).toEqual([])
      })
  )
}

faultWithTable("`none` does not get answers from the cache of the session", {}, () =>
  Effect.gen(function*() {
    const sql = yield* MainDb
    const { execute: find } = yield* SqlResolver.findById("row", {
      Id: Schema.Number,
      Result: Schema.Struct({ id: Schema.Number }),
      ResultId: ({ id }) => id,
      execute: (ids) => sql`SELECT id FROM t WHERE ${sql.in("id", ids)}`
    })
    const found = Effect.withRequestCaching(Effect.map(find(1), Option.isSome), true)
    const handler = Effect.gen(function*() {
      yield* insert(1)
      return HttpServerResponse.unsafeJson([yield* found, yield* HttpSession.none(found)])
    })
    const client = yield* Effect.provide(servingApp(session(handler)), quiet)
    expect((yield* client.get("/")).body).toBe("[true,false]")
  }))
