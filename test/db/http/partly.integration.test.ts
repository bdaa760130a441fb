/** What was committed before the request failed is never called undone. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import { expect } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { GarminDb, MainDb } from "../../../src/db/Database.ts"
import * as HttpSession from "../../../src/db/HttpSession.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { garmin } from "../../support/db/databases.ts"
import { faultOnStage, faultWithTable, ids, insert, makeTable } from "../../support/db/faults.ts"
import { asked } from "../../support/http/serving.ts"

const ok = HttpServerResponse.text("ok")
const bad = HttpServerResponse.empty({ status: 400 })

const tagOf = (response: HttpServerResponse.HttpServerResponse) =>
  Effect.promise(async () => ((await HttpServerResponse.toWeb(response).json()) as { readonly _tag: string })._tag)

faultOnStage("a refused stream of another client's database is rolled back", (stage) =>
  Effect.gen(function*() {
    yield* makeTable(stage)
    const upstream = Layer.provide(MainDb.fromSqlClient, MysqlClient.layer({ url: Redacted.make(stage.url) }))
    const streamed = HttpServerResponse.stream(Stream.encodeText(Stream.make("a")))
    const response = yield* Effect.provide(asked(HttpSession.make(MainDb)(Effect.as(insert(1), streamed))), upstream)
    expect([response.status, yield* tagOf(response)]).toEqual([500, "Failed"])
    expect(yield* ids(stage)).toEqual([])
  }))

faultOnStage("`none` is outside of another client's transaction", (stage) =>
  Effect.gen(function*() {
    yield* makeTable(stage)
    const upstream = Layer.provide(MainDb.fromSqlClient, MysqlClient.layer({ url: Redacted.make(stage.url) }))
    const app = Effect.as(Effect.zipRight(insert(1), HttpSession.none(insert(2))), bad)
    yield* Effect.asVoid(Effect.provide(asked(HttpSession.make(MainDb)(app)), upstream))
    expect(yield* ids(stage)).toEqual([2])
  }))

faultOnStage("two databases of another client: the second COMMIT fails", (stage) =>
  Effect.gen(function*() {
    yield* makeTable(stage)
    yield* stage.admin(`CREATE TABLE ${stage.database}.g (id INT PRIMARY KEY)`)
    const client = MysqlClient.layer({ url: Redacted.make(stage.url), maxConnections: 2 })
    const upstream = Layer.provide(Layer.merge(MainDb.fromSqlClient, GarminDb.fromSqlClient), client)
    const app = HttpSession.make(GarminDb, MainDb)(Effect.gen(function*() {
      yield* GarminDb.use((sql) => sql`INSERT INTO g VALUES (1)`)
      const [row] = yield* MainDb.use((sql) => sql<{ id: number }>`SELECT CONNECTION_ID() AS id`)
      yield* insert(1)
      yield* stage.admin(`KILL ${row!.id}`)
      return ok
    }))
    const response = yield* Effect.provide(asked(app), upstream)
    expect([response.status, yield* tagOf(response)]).toEqual([500, "OutcomeUnknown"])
    expect(yield* stage.admin(`SELECT id FROM ${stage.database}.g`)).toHaveLength(1)
    expect(yield* ids(stage)).toEqual([])
  }))

const own = HttpServerRequest.fromWeb(new Request("http://localhost/part"))
const within: Record<string, <A, E, R>(part: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>> = {
  "": (part) => part,
  ", which has a request of its own,": (part) =>
    Effect.provideService(part, HttpServerRequest.HttpServerRequest, own) as typeof part
}

for (const [how, given] of Object.entries(within)) {
  faultWithTable(
    `of a session within the session${how} COMMIT is done, and the outer one's fails`,
    {},
    (stage) =>
      Effect.gen(function*() {
        yield* connectionId
        yield* GarminDb.use((sql) => sql`CREATE TABLE g (id INT PRIMARY KEY)`)
        const intoGarmin = GarminDb.use((sql) => sql`INSERT INTO g VALUES (1)`)
        const app = HttpSession.make(MainDb)(Effect.gen(function*() {
          yield* insert(1)
          const response = yield* given(HttpSession.make(GarminDb)(Effect.as(intoGarmin, ok)))
          const id = yield* connectionId
          yield* stage.admin(`KILL ${id}`)
          yield* Effect.ignore(connectionId)
          return response
        }))
        const response = yield* asked(app)
        expect([response.status, yield* tagOf(response)]).toEqual([500, "OutcomeUnknown"])
        expect(yield* ids(stage)).toEqual([])
      }).pipe(Effect.provide(garmin()))
  )
}

faultWithTable(
  "what a session within the session has refused is rolled back, whatever `rollbackOn` says",
  {},
  (stage) =>
    Effect.gen(function*() {
      const lenient = HttpSession.makeWith({ rollbackOn: () => false }, MainDb)
      const response = yield* asked(
        lenient(HttpSession.make(MainDb)(Effect.as(Effect.zipRight(insert(1), insert(1)), ok)))
      )
      expect([response.status, yield* tagOf(response)]).toEqual([500, "Failed"])
      expect(yield* ids(stage)).toEqual([])
    })
)

faultWithTable(
  "what a session has refused stays refused, whatever is said of its answer",
  {},
  (stage) =>
    Effect.gen(function*() {
      const session = HttpSession.make(MainDb)
      const inner = session(Effect.as(Effect.zipRight(insert(1), insert(1)), ok))
      const response = yield* asked(session(Effect.map(inner, HttpSession.keep)))
      expect(response.status).toBe(500)
      expect(yield* ids(stage)).toEqual([])
    })
)
