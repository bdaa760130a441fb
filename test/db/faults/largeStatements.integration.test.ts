/** Statements that are large: what is held for them, and what the server takes. */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { fault, onPrivateServer } from "../../support/db/faults.ts"
import { layerOf, type Options, type Stage } from "../../support/db/stage.ts"
import { prepares } from "../../support/db/throughProxy.ts"

const one: Options = { poolSize: 1, maxOverflow: 0 }

/** How many statements the connection has prepared and closed since it was opened. */
const counts = Effect.gen(function*() {
  const status = (name: string) =>
    MainDb.use((sql) =>
      Effect.map(
        sql.unsafe<{ Value: string }>(`SHOW SESSION STATUS LIKE '${name}'`).unprepared,
        ([row]) => Number(row!.Value)
      )
    )
  return { prepared: yield* status("Com_stmt_prepare"), closed: yield* status("Com_stmt_close") }
})

/** A statement with so many placeholders. */
const list = (placeholders: number, distinct: number) =>
  MainDb.use((sql) =>
    Effect.map(
      sql.unsafe<{ found: unknown }>(
        `SELECT 1 IN (${Array(placeholders).fill("?").join(", ")}) AS found /* ${distinct} */`,
        Array(placeholders).fill(1)
      ),
      ([row]) => Number(row!.found)
    )
  )

describe.skipIf(!prepares)("46 prepared statements hold a bounded number of bytes", () => {
  fault(
    "46 one with many placeholders, or with a long text, is closed after its execution",
    one,
    () =>
      Effect.gen(function*() {
        yield* connectionId
        const before = yield* counts
        for (let i = 0; i < 5; i++) {
          expect(yield* list(1_000, i)).toBe(1)
          const long = "x".repeat(40_000)
          const rows = yield* MainDb.use((sql) => sql.unsafe(`SELECT '${long}' AS x, ? AS n`, [i]).values)
          expect(rows).toEqual([[long, expect.anything()]])
          const streamed = yield* MainDb.use((sql) =>
            Stream.runCollect(sql.unsafe(`SELECT '${long}' AS s, ? AS n`, [i]).stream)
          )
          expect([...streamed]).toHaveLength(1)
          // One that fails is not kept either.
          yield* Effect.flip(list(70_000, i))
        }
        const after = yield* counts
        expect(after.prepared - before.prepared).toBeGreaterThanOrEqual(15)
        expect(after.closed - before.closed).toBeGreaterThanOrEqual(15)
        expect(after.closed - before.closed).toBeLessThanOrEqual(after.prepared - before.prepared)
      })
  )

  fault("46 one of usual size is kept, and executed again without being prepared", one, () =>
    Effect.gen(function*() {
      yield* list(40, 1)
      const before = yield* counts
      for (let i = 0; i < 5; i++) yield* list(40, 1)
      expect(yield* counts).toEqual(before)
    }))
})

/** Sets the server's limit for new sessions, and back in the end. */
const maxAllowedPacket = ({ admin }: Stage, size: number): Effect.Effect<unknown, never, Scope.Scope> =>
  Effect.flatMap(admin("SELECT @@GLOBAL.max_allowed_packet AS size"), ([row]) =>
    Effect.acquireRelease(
      admin(`SET GLOBAL max_allowed_packet = ${size}`),
      () => admin(`SET GLOBAL max_allowed_packet = ${row!["size"]}`)
    ))

onPrivateServer("47 a packet that the server would not take", ({ faultOnStage }) => {
  const limit = 1_048_576

  for (const preparedStatements of [true, false]) {
    faultOnStage(
      `47 is refused before it is sent, prepared statements ${preparedStatements}`,
      (_, stage) =>
        Effect.gen(function*() {
          yield* maxAllowedPacket(stage, limit)
          const length = (value: string | Uint8Array) =>
            MainDb.use((sql) =>
              Effect.map(sql<{ n: unknown }>`SELECT LENGTH(${value}) AS n`, ([row]) => Number(row!.n))
            )
          const tooLarge = {
            reason: "PacketTooLarge",
            retryable: false,
            detail: expect.stringContaining(`takes less than ${limit}`),
            hint: expect.stringContaining("max_allowed_packet")
          }
          yield* Effect.gen(function*() {
            const id = yield* connectionId
            for (const value of ["x".repeat(limit), "é".repeat(limit / 2), new Uint8Array(2 * limit)]) {
              expect(yield* Effect.flip(length(value))).toMatchObject(tooLarge)
            }
            const text = `SELECT '${"x".repeat(limit)}' AS x`
            expect(yield* Effect.flip(MainDb.use((sql) => sql.unsafe(text)))).toMatchObject(tooLarge)
            expect(yield* Effect.flip(MainDb.use((sql) => sql.unsafe(text).unprepared))).toMatchObject(tooLarge)
            expect(yield* Effect.flip(MainDb.use((sql) => Stream.runDrain(sql.unsafe(text).stream)))).toMatchObject(
              tooLarge
            )
            const atOnce = yield* Effect.all(
              Effect.replicate(Effect.flip(MainDb.use((sql) => sql.unsafe(text).unprepared)), 1_000),
              { concurrency: "unbounded" }
            )
            for (const error of atOnce) expect(error).toMatchObject(tooLarge)
            // Every size around the limit either is refused by us, or arrives.
            let refused = 0
            for (let size = limit - 40; size < limit; size++) {
              const result = yield* Effect.either(length("x".repeat(size)))
              if (result._tag === "Right") expect(result.right).toBe(size)
              else {
                expect(result.left).toMatchObject(tooLarge)
                refused++
              }
            }
            expect(refused).toBeGreaterThan(0)
            expect(refused).toBeLessThan(30)
            // A transaction goes on.
            yield* MainDb.use((sql) => sql`CREATE TABLE t (id INT PRIMARY KEY) ENGINE = InnoDB`)
            yield* MainDb.withTransaction(Effect.gen(function*() {
              yield* MainDb.use((sql) => sql`INSERT INTO t (id) VALUES (1)`)
              yield* Effect.flip(length("x".repeat(limit)))
              yield* MainDb.use((sql) => sql`INSERT INTO t (id) VALUES (2)`)
            }))
            expect(yield* stage.admin(`SELECT COUNT(*) AS n FROM ${stage.database}.t`)).toEqual([{ n: 2 }])
            expect(yield* connectionId).toBe(id)
          }).pipe(
            Effect.provide(
              layerOf(stage.url, { ...one, preparedStatements, connectTimeout: "5 seconds", poolTimeout: "20 seconds" })
            )
          )
        })
    )
  }
})

onPrivateServer("60 a statement of about 16 MiB, where one packet is not enough", ({ faultOnStage }) => {
  const PACKET = 2 ** 24 - 1

  faultOnStage("60 is one statement at every length", (_, stage) =>
    Effect.gen(function*() {
      yield* maxAllowedPacket(stage, 4 * 2 ** 24)
      yield* Effect.gen(function*() {
        const id = yield* connectionId
        // The header of a packet is followed by one byte for a text, or by three, and by some twenty for a prepared statement.
        const frame = "SELECT LENGTH('') AS n".length
        for (let size = PACKET - 7; size <= PACKET + 1; size++) {
          const text = `SELECT LENGTH('${"x".repeat(size - frame)}') AS n`
          const [found] = yield* MainDb.use((sql) => sql.unsafe<{ n: unknown }>(text).unprepared)
          expect(Number(found!.n)).toBe(size - frame)
        }
        for (let size = PACKET - 26; size <= PACKET - 14; size++) {
          const value = "x".repeat(size)
          const [found] = yield* MainDb.use((sql) => sql<{ n: unknown }>`SELECT LENGTH(${value}) AS n`)
          expect(Number(found!.n)).toBe(size)
        }
        expect(yield* connectionId).toBe(id)
      }).pipe(Effect.provide(layerOf(stage.url, { ...one, connectTimeout: "5 seconds" })))
    }))
})
