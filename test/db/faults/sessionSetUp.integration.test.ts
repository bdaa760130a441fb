/** What the set-up of a session must settle: each connection is the same, a fresh one and one that was reset. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { fault, faultOnStage, ids, insert, makeTable, onPrivateServer } from "../../support/db/faults.ts"
import { plainUser } from "../../support/db/plainUser.ts"
import { layerOf, type Options, type Stage, withDatabase } from "../../support/db/stage.ts"
import { server } from "../../support/db/testServer.ts"
import { passesUsers } from "../../support/db/throughProxy.ts"

const one: Options = { poolSize: 1, maxOverflow: 0 }

const look = <Row extends object>(text: string) => MainDb.use((sql) => sql.unsafe<Row>(text))

/** What the session is like on a fresh connection, and after a reset of it. */
const freshAndReset = <Row extends object>(text: string) =>
  Effect.gen(function*() {
    const id = yield* connectionId
    const [fresh] = yield* look<Row>(text)
    yield* MainDb.use((sql) => sql`SET @left = 1`)
    expect(yield* look("SELECT @left AS seen")).toEqual([{ seen: null }])
    const [reset] = yield* look<Row>(text)
    expect(yield* connectionId).toBe(id)
    return { fresh: fresh!, reset: reset! }
  })

const names = "SELECT @@character_set_client AS client, @@character_set_connection AS connection,"
  + " @@character_set_results AS results, @@collation_connection AS collation"

describe("20 session state never reaches the next user", () => {
  const charsets: ReadonlyArray<readonly [charset: string, set: string, collation: string]> = [
    ["utf8mb4", "utf8mb4", "utf8mb4_general_ci"],
    ["utf8mb4_unicode_520_ci", "utf8mb4", "utf8mb4_unicode_520_ci"],
    ["utf8mb4_bin", "utf8mb4", "utf8mb4_bin"],
    ["latin1", "latin1", "latin1_swedish_ci"]
  ]
  for (const [charset, set, collation] of charsets) {
    // Another character set than UTF-8 is refused without prepared statements.
    for (const preparedStatements of set === "utf8mb4" ? [true, false] : [true]) {
      it.live(`20 charset=${charset}, prepared statements ${preparedStatements}: the same after a reset`, () =>
        Effect.flatMap(server, (at) =>
          withDatabase(at, { ...one, preparedStatements }, () =>
            Effect.gen(function*() {
              const seen = yield* freshAndReset(names)
              const wanted = { client: set, connection: set, results: set, collation }
              expect(seen).toEqual({ fresh: wanted, reset: wanted })
              expect(yield* look("SELECT 'é' AS letter, HEX('é') AS hex")).toEqual([
                { letter: "é", hex: set === "latin1" ? "E9" : "C3A9" }
              ])
            }), `charset=${charset}`)))
    }
  }

  fault(
    "20 the other settings of a session are the same after a reset, and sql_mode is the server's",
    one,
    () =>
      Effect.gen(function*() {
        const seen = yield* freshAndReset(
          "SELECT @@autocommit AS autocommit, @@completion_type AS completion, @@time_zone AS zone, DATABASE() AS name,"
            + " @@sql_mode = @@GLOBAL.sql_mode AS mode"
        )
        expect(seen.reset).toEqual(seen.fresh)
        expect(seen.fresh).toMatchObject({ completion: "NO_CHAIN", zone: "+00:00" })
        expect(Number((seen.fresh as { mode: unknown }).mode)).toBe(1)
      })
  )

  faultOnStage(
    "20 a character set that the server does not know is an error, not another character set",
    (stage) =>
      Effect.gen(function*() {
        const [row] = yield* stage.admin(
          "SELECT COUNT(*) AS known FROM information_schema.COLLATIONS WHERE COLLATION_NAME = 'utf8mb4_0900_ai_ci'"
        )
        const result = yield* Effect.either(
          Effect.provide(look("SELECT 1 AS one"), layerOf(`${stage.url}?charset=utf8mb4_0900_ai_ci`))
        )
        if (Number(row!["known"]) > 0) return expect(result._tag).toBe("Right")
        // At once: it would be refused again.
        expect((yield* stage.proxy.accepted).length).toBe(1)
        expect(result._tag === "Left" ? result.left : undefined).toMatchObject({
          statement: expect.stringMatching(/^SET NAMES utf8mb4 COLLATE utf8mb4_0900_ai_ci/)
        })
      })
  )
})

/** A user who may take on two roles, the first of which is perhaps active after the login. */
const userWithRoles = (stage: Stage, isDefault: boolean) =>
  Effect.gen(function*() {
    const { admin, database } = stage
    const as = yield* plainUser(stage)
    const [first, second] = [`${database}_a`, `${database}_b`]
    for (const role of [first, second]) {
      yield* Effect.acquireRelease(admin(`CREATE ROLE ${role}`), () => admin(`DROP ROLE ${role}`))
      yield* admin(`GRANT ${role} TO ${database}@'127.0.0.1'`)
    }
    if (isDefault) {
      const [row] = yield* admin("SELECT VERSION() AS version")
      const word = /mariadb/i.test(String(row!["version"])) ? "FOR" : "TO"
      yield* admin(`SET DEFAULT ROLE ${first} ${word} ${database}@'127.0.0.1'`)
    }
    return { as, first, second }
  })

describe.skipIf(!passesUsers)("51 a role that a borrower takes on never reaches the next user", () => {
  for (const isDefault of [false, true]) {
    for (const preparedStatements of [true, false]) {
      faultOnStage(
        `51 ${isDefault ? "with" : "without"} a default role, prepared statements ${preparedStatements}`,
        (stage) =>
          Effect.gen(function*() {
            const { as, first, second } = yield* userWithRoles(stage, isDefault)
            yield* Effect.gen(function*() {
              const id = yield* connectionId
              const role = Effect.map(look<{ role: string | null }>("SELECT CURRENT_ROLE() AS role"), ([row]) =>
                row!.role)
              const before = yield* role
              if (isDefault) {
                expect(before).toContain(first)
              } else expect(before ?? "NONE").toBe("NONE")
              for (const text of [`SET ROLE ${second}`, "SET ROLE NONE", `SET ROLE ${first}`]) {
                yield* MainDb.use((sql) =>
                  sql.unsafe(text).unprepared
                )
                expect(yield* role).toBe(before)
                yield* MainDb.use((sql) =>
                  Effect.scoped(Effect.flatMap(sql.reserve, (connection) =>
                    Effect.gen(function*() {
                      yield* connection.executeUnprepared(text, [], undefined)
                      const [row] = yield* connection.execute("SELECT CURRENT_ROLE() AS role", [], undefined)
                      if (text.endsWith(second)) expect(row.role).toContain(second)
                    })))
                )
                expect(yield* role).toBe(before)
              }
              expect(yield* connectionId).toBe(id)
            }).pipe(Effect.provide(layerOf(as(stage.url), { ...one, preparedStatements })))
          })
      )
    }
  }
})

onPrivateServer("44 a server whose transactions are chained (completion_type)", ({ faultOnStage }) => {
  for (const type of ["CHAIN", "RELEASE"]) {
    for (const preparedStatements of [true, false]) {
      faultOnStage(
        `44 ${type}, prepared statements ${preparedStatements}: what is written after a transaction is committed`,
        (_, stage) =>
          Effect.gen(function*() {
            yield* makeTable(stage)
            yield* Effect.acquireRelease(
              stage.admin(`SET GLOBAL completion_type = '${type}'`),
              () => stage.admin("SET GLOBAL completion_type = 'NO_CHAIN'")
            )
            yield* Effect.gen(function*() {
              const id = yield* connectionId
              yield* MainDb.withTransaction(insert(1))
              yield* insert(2)
              // A reset would roll back what is not committed, and give the session the server's default again.
              yield* MainDb.use((sql) => sql`SET @left = 1`)
              yield* Effect.exit(MainDb.withTransaction(Effect.zipRight(insert(3), Effect.fail("undo"))))
              yield* insert(4)
              yield* MainDb.use((sql) => sql`SET @left = 1`)
              expect(yield* ids(stage)).toEqual([1, 2, 4])
              expect(yield* connectionId).toBe(id)
            }).pipe(Effect.provide(layerOf(stage.url, { ...one, preparedStatements })))
          })
      )
    }
  }
})
