/** A session inside of something else, and whatever goes wrong around it. */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import { describe, expect } from "@effect/vitest"
import { Effect, Exit, Layer, Redacted } from "effect"
import { MainDb } from "../../../src/db/Database.ts"
import * as HttpSession from "../../../src/db/HttpSession.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { faultOnStage, faultWithTable, ids, insert, makeTable } from "../../support/db/faults.ts"
import { eventually } from "../../support/eventually.ts"
import { asked, patient, quiet, servingApp } from "../../support/http/serving.ts"
import { interruptEverywhere } from "../../support/interruptAt.ts"

const session = HttpSession.make(MainDb)
const ok = HttpServerResponse.text("ok")
const bad = HttpServerResponse.empty({ status: 400 })

describe("a session", () => {
  faultWithTable("in a session takes part in it: the outer one decides", patient, (stage) =>
    Effect.gen(function*() {
      const lenient = HttpSession.makeWith({ rollbackOn: () => false }, MainDb)
      yield* Effect.asVoid(asked(session(lenient(Effect.as(insert(1), bad)))))
      expect(yield* ids(stage)).toEqual([])
      yield* Effect.asVoid(asked(lenient(session(Effect.as(insert(2), bad)))))
      expect(yield* ids(stage)).toEqual([2])
    }))

  faultWithTable("in an open transaction is a savepoint of it", patient, (stage) =>
    Effect.gen(function*() {
      yield* MainDb.withTransaction(Effect.gen(function*() {
        yield* insert(1)
        expect(yield* asked(session(Effect.as(insert(2), bad)))).toMatchObject({ status: 400 })
        expect(yield* asked(session(Effect.as(insert(3), ok)))).toMatchObject({ status: 200 })
        expect(yield* ids(stage)).toEqual([])
      }))
      expect(yield* ids(stage)).toEqual([1, 3])
    }))

  faultOnStage("of another client's database commits and rolls back", (stage) =>
    Effect.gen(function*() {
      yield* makeTable(stage)
      const upstream = Layer.provide(
        MainDb.fromSqlClient,
        MysqlClient.layer({ url: Redacted.make(stage.url) })
      )
      yield* Effect.gen(function*() {
        expect(yield* asked(session(Effect.as(insert(1), ok)))).toMatchObject({ status: 200 })
        expect(yield* asked(session(Effect.as(insert(2), bad)))).toMatchObject({ status: 400 })
        expect(yield* asked(session(Effect.as(Effect.zipRight(insert(3), insert(3)), ok)))).toMatchObject({
          status: 500
        })
      }).pipe(Effect.provide(upstream))
      expect(yield* ids(stage)).toEqual([1])
    }))

  faultWithTable(
    "rolls back where `rollbackOn` throws, or the handler gives no response",
    patient,
    (stage) =>
      Effect.gen(function*() {
        const broken = HttpSession.makeWith({
          rollbackOn: () => {
            throw new Error("a bug")
          }
        }, MainDb)
        expect(Exit.isFailure(yield* Effect.exit(asked(broken(Effect.as(insert(1), ok)))))).toBe(true)
        expect(Exit.isFailure(yield* Effect.exit(asked(session(Effect.as(insert(2), undefined as any)))))).toBe(true)
        expect(yield* ids(stage)).toEqual([])
        expect(yield* MainDb.stats).toMatchObject({ active: 0 })
      })
  )

  faultWithTable("leaves a route uninterruptible that asks for it", patient, (stage) =>
    Effect.gen(function*() {
      const slow = MainDb.use((sql) => sql`INSERT INTO t SELECT 1, SLEEP(0.5)`)
      const router = HttpRouter.empty.pipe(
        HttpRouter.get("/", Effect.as(slow, ok), { uninterruptible: true }),
        HttpRouter.use(session)
      )
      const client = yield* servingApp(router)
      const socket = yield* client.open("/")
      yield* eventually(Effect.map(MainDb.stats, ({ active }) => expect(active).toBe(1)))
      socket.destroy()
      yield* eventually(Effect.map(ids(stage), (found) => expect(found).toEqual([1])))
    }))

  faultWithTable(
    "interrupted after any step commits what it answers, and nothing else",
    patient,
    (stage) =>
      Effect.gen(function*() {
        yield* connectionId
        let next = 0
        const answered: Array<number> = []
        yield* interruptEverywhere(
          Effect.suspend(() => {
            const id = ++next
            return asked(session(Effect.as(insert(id), ok))).pipe(
              Effect.onExit((exit) => Effect.sync(() => Exit.isSuccess(exit) && answered.push(id)))
            )
          }).pipe(Effect.provide(yield* Effect.context<MainDb>()), Effect.exit)
        )
        expect(next).toBeGreaterThan(50)
        expect(answered.length).toBeGreaterThan(0)
        expect(yield* ids(stage)).toEqual(expect.arrayContaining(answered))
        expect(yield* MainDb.stats).toMatchObject({ active: 0, waiting: 0 })
      })
  )

  faultWithTable(
    "hundreds at once wait for their turn, and each is committed or rolled back",
    { ...patient, poolTimeout: 25_000 },
    (stage) =>
      Effect.gen(function*() {
        const client = yield* servingApp(session(
          Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) => {
            const id = Number(url.slice(1))
            return Effect.as(insert(id), id % 2 === 0 ? ok : bad)
          })
        )).pipe(Effect.provide(quiet))
        const statuses = yield* Effect.forEach(
          Array.from({ length: 400 }, (_, id) => id),
          (id) => Effect.map(client.get(`/${id}`), ({ status }) => status),
          { concurrency: 100 }
        )
        const committed = statuses.flatMap((status, id) => status === 200 ? [id] : [])
        expect(new Set(statuses)).toEqual(new Set([200, 400]))
        expect(yield* ids(stage)).toEqual(committed)
      })
  )
})
