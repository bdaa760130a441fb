/** Streams whose reader is slow, fails, or stops early. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { admin } from "../../support/db/testServer.ts"
import { below, endOf, howOf, open, type Row, type Subject } from "./subject.ts"

/** One connection, and a view of ten million rows. */
const manyRows = (subject: Subject) =>
  Effect.tap(open(subject, { connections: 1 }), ({ database }) =>
    Effect.gen(function*() {
      yield* admin("CREATE TABLE digits (d INT PRIMARY KEY)", { database })
      yield* admin("INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)", { database })
      const places = ["a", "b", "c", "e", "f", "g", "h"].map((name) => `digits ${name}`).join(", ")
      yield* admin(
        `CREATE VIEW many AS SELECT a.d AS d, REPEAT('x', 40) AS pad FROM ${places}`,
        { database }
      )
    }))

const ended = {
  failure: {
    what: "fails",
    /** A reader that is slow for long enough that rows pile up, and then fails. */
    read: <A, E>(rows: Stream.Stream<A, E>): Effect.Effect<void, unknown> =>
      Stream.runForEach(rows, () => Effect.zipRight(Effect.sleep(300), Effect.fail("enough")))
  },
  timeout: {
    what: "is timed out",
    read: <A, E>(rows: Stream.Stream<A, E>): Effect.Effect<void, unknown> =>
      Effect.timeout(Stream.runForEach(rows, () => Effect.sleep(50)), 300)
  }
}

export const streams: ReadonlyArray<Row> = [true, false].flatMap((inside) => {
  const where = inside ? "in a transaction" : "outside a transaction"
  return [
    ...Object.values(ended).map(({ read, what }): Row => ({
      defect: `a stream ${where} hangs when its slow reader ${what}`,
      observe: (subject) =>
        Effect.gen(function*() {
          const { sql } = yield* manyRows(subject)
          const work = read(sql`SELECT * FROM many`.stream)
          const { how, took } = yield* endOf(inside ? sql.withTransaction(work) : work)
          return { how, took, next: yield* howOf(sql.withTransaction(sql`SELECT 1`), 2_000) }
        }),
      sound: { how: "failure", took: below(3_000), next: "success" }
    })),
    {
      defect: `a stream ${where} that is ended early still reads all the rest`,
      observe: (subject) =>
        Effect.gen(function*() {
          const { sql } = yield* manyRows(subject)
          const work = Stream.runCount(Stream.take(sql`SELECT * FROM many`.stream, 10))
          const { took, value } = yield* endOf(inside ? sql.withTransaction(work) : work, 20_000)
          const next = yield* endOf(sql`SELECT 1`, 20_000)
          return { rows: value, took: took + next.took, next: next.how }
        }),
      sound: { rows: 10, took: below(2_500), next: "success" }
    }
  ]
})
