/** What a handler does at the edges of its session: it asks for a socket in vain, leaves the session by `none`, or outlives it. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as SqlResolver from "@effect/sql/SqlResolver"
import { expect } from "@effect/vitest"
import { Deferred, Effect, Option, Ref, Schema } from "effect"
import { MainDb } from "../../../src/db/Database.ts"
import * as HttpSession from "../../../src/db/HttpSession.ts"
import { DatabaseError } from "../../../src/Errors.ts"
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

faultWithTable(
  "what outlives its request has no session, also where nobody has used it before",
  {},
  (stage) =>
    Effect.gen(function*() {
      const answered = yield* Deferred.make<void>()
      const handler = (status: number, late: Deferred.Deferred<string>) => {
        const afterwards = Effect.gen(function*() {
          yield* Deferred.await(answered)
          const reason = yield* Effect.match(insert(status), {
            onFailure: (error) => error instanceof DatabaseError ? error.reason : "another",
            onSuccess: () => "inserted"
          })
          const ran = yield* Ref.make(false)
          yield* MainDb.afterCommit(Ref.set(ran, true))
          return `${reason}, ${(yield* Ref.get(ran)) ? "ran" : "dropped"}`
        })
        return Effect.as(
          Effect.forkDaemon(Effect.flatMap(afterwards, (seen) => Deferred.succeed(late, seen))),
          HttpServerResponse.empty({ status })
        )
      }
      const [good, bad] = [yield* Deferred.make<string>(), yield* Deferred.make<string>()]
      const router = HttpRouter.empty.pipe(
        HttpRouter.get("/good", handler(200, good)),
        HttpRouter.get("/bad", handler(400, bad)),
        HttpRouter.use(session)
      )
      const client = yield* Effect.provide(servingApp(router), quiet)
      yield* Effect.zip(client.get("/good"), client.get("/bad"))
      yield* Deferred.succeed(answered, undefined)
      expect(yield* Deferred.await(good)).toBe("TransactionClosed, ran")
      expect(yield* Deferred.await(bad)).toBe("TransactionClosed, dropped")
      expect(yield* ids(stage)).toEqual([])
    })
)
