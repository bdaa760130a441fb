/** Streams are bounded by bytes, not only by rows. */
import { describe, expect } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { MainDb } from "../../../src/db/Database.ts"
import { fault } from "../../support/db/faults.ts"

const MEGABYTE = 1024 * 1024

/** So many rows of 800 kB each, made by the server as they are read. */
const wide = (count: number) =>
  Stream.unwrap(Effect.map(MainDb, (sql) =>
    sql.unsafe<{ n: unknown; filling: string }>(
      `WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < ${count})`
        + " SELECT n, REPEAT('x', 800000) AS filling FROM r"
    ).stream))

/** What a number is when it has not changed for half a second. */
const atRest = (number: Effect.Effect<number>): Effect.Effect<number> =>
  Effect.flatMap(
    number,
    (before) =>
      Effect.flatMap(Effect.delay(number, "500 millis"), (after) =>
        after === before ? Effect.succeed(after) : atRest(number))
  )

describe("55 the rows of a stream are large", () => {
  for (const preparedStatements of [true, false]) {
    fault(
      `55 a slow reader holds back the server after some megabytes, prepared statements ${preparedStatements}`,
      { poolSize: 1, maxOverflow: 0, preparedStatements, connectTimeout: "5 seconds" },
      ({ proxy }) =>
        Effect.gen(function*() {
          const first = yield* Deferred.make<void>()
          const go = yield* Deferred.make<void>()
          const reader = yield* Effect.fork(
            wide(400).pipe(
              Stream.tap(({ n }) =>
                Number(n) === 1
                  ? Effect.zipRight(Deferred.succeed(first, undefined), Deferred.await(go))
                  : Effect.void
              ),
              Stream.runFold(0, (count, { filling }) => count + (filling.length === 800_000 ? 1 : 0))
            )
          )
          yield* Deferred.await(first)
          // Of 320 MB, what the driver reads ahead and what the sockets hold.
          expect(yield* atRest(proxy.delivered)).toBeLessThan(40 * MEGABYTE)
          yield* Deferred.succeed(go, undefined)
          expect(yield* Fiber.join(reader)).toBe(400)
        })
    )
  }
})
