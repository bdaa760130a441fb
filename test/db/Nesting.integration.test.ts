import type { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Random from "effect/Random"
import { BloodDb, GarminDb, MainDb } from "../../src/db/Database.ts"
import { allFour, nameOf } from "../support/db/databases.ts"
import { admin } from "../support/db/testServer.ts"

/** Three databases by letter, each with a table of the same name. */
const databases = { M: MainDb, G: GarminDb, B: BloodDb } as const
type Letter = keyof typeof databases
type Env = MainDb | GarminDb | BloodDb
const letters: ReadonlyArray<Letter> = ["M", "G", "B"]

const client = (letter: Letter): Effect.Effect<SqlClient, never, Env> =>
  Effect.map(databases[letter] as typeof MainDb, (sql) => sql) as Effect.Effect<SqlClient, never, Env>

const transaction = <A, E>(letter: Letter, effect: Effect.Effect<A, E, Env>): Effect.Effect<A, unknown, Env> =>
  (databases[letter] as typeof MainDb).withTransaction(effect)

const onEach = (run: (letter: Letter) => Effect.Effect<unknown, unknown, Env>) =>
  Effect.forEach(letters, run, { discard: true })

const write = (letter: Letter, mark: string) =>
  Effect.flatMap(client(letter), (sql) => sql`INSERT INTO records ${sql.insert({ mark, written_in: letter })}`)

/** The rows of a database, with the letter of the database they were written to. */
const committed = (letter: Letter, like = "%") =>
  Effect.map(
    Effect.flatMap(client(letter), (sql) =>
      sql<
        { mark: string; written_in: string }
      >`SELECT mark, written_in FROM records WHERE mark LIKE ${like} ORDER BY mark`),
    (rows) => rows.map((row) => `${row.written_in}:${row.mark}`)
  )

const setUp = onEach((letter) =>
  Effect.flatMap(client(letter), (sql) =>
    Effect.zipRight(
      sql`CREATE TABLE IF NOT EXISTS records (mark VARCHAR(60) NOT NULL PRIMARY KEY, written_in CHAR(1) NOT NULL)`,
      sql`DELETE FROM records`
    ))
)

/** On which database and connection a statement runs, and whether a transaction is open there: others cannot see its rows. */
const whereabouts = (letter: Letter) =>
  Effect.gen(function*() {
    const sql = yield* client(letter)
    const [at] = yield* sql<{ db: string; thread: number }>`SELECT DATABASE() AS db, CONNECTION_ID() AS thread`
    const mark = `probe ${yield* Random.nextInt}`
    yield* sql`INSERT INTO records VALUES (${mark}, ${letter})`
    const seen = yield* admin(`SELECT mark FROM records WHERE mark = '${mark}'`, { database: at!.db })
    yield* sql`DELETE FROM records WHERE mark = ${mark}`
    return { db: at!.db, thread: Number(at!.thread), open: seen.length === 0 }
  })

interface Level {
  readonly letter: Letter
  readonly commits: boolean
}

/** All sequences of so many levels, in every order and with every combination of commit and rollback. */
const plans = (depth: number, all: boolean): ReadonlyArray<ReadonlyArray<Level>> =>
  depth === 0 ?
    [[]] :
    plans(depth - 1, all).flatMap((plan) =>
      letters.filter((letter) => all || !plan.some((level) => level.letter === letter)).flatMap((letter) =>
        [true, false].map((commits) => [...plan, { letter, commits }])
      )
    )

const describePlan = (plan: ReadonlyArray<Level>): string =>
  plan.map(({ commits, letter }) => `${letter}${commits ? "+" : "-"}`).join(">")

/** At every level one row in every database, before and after the level below, whose failure is caught. */
const runPlan = (plan: ReadonlyArray<Level>): Effect.Effect<void, unknown, Env> => {
  const at = (index: number): Effect.Effect<void, unknown, Env> =>
    Effect.gen(function*() {
      yield* onEach((letter) => write(letter, `${index}-before`))
      const level = plan[index]
      if (level !== undefined) {
        yield* Effect.ignore(transaction(
          level.letter,
          Effect.zipRight(at(index + 1), level.commits ? Effect.void : Effect.fail("rolled back"))
        ))
      }
      yield* onEach((letter) => write(letter, `${index}-after`))
    })
  return at(0)
}

/** A row stays unless a level of its own database, in which it was written, was rolled back. */
const expected = (plan: ReadonlyArray<Level>, letter: Letter): ReadonlyArray<string> =>
  Array.from({ length: plan.length + 1 }, (_, index) => index)
    .filter((index) => plan.slice(0, index).every((level) => level.letter !== letter || level.commits))
    .flatMap((index) => [`${letter}:${index}-after`, `${letter}:${index}-before`])
    .sort()

describe("nested transactions of several databases", () => {
  layer(allFour())((it) => {
    for (
      const [title, all] of [
        ["two levels", plans(2, true)],
        ["three databases in every order", plans(3, false)],
        [
          "three levels with repeated databases",
          plans(3, true).filter((plan) => new Set(plan.map(({ letter }) => letter)).size < 3)
        ]
      ] as const
    ) {
      it.effect(`${title}: each row is in its own database, and is kept or rolled back with the transactions of that database`, () =>
        Effect.gen(function*() {
          expect(all.length).toBeGreaterThan(30)
          yield* setUp
          for (const plan of all) {
            yield* onEach((letter) => Effect.flatMap(client(letter), (sql) => sql`DELETE FROM records`))
            yield* runPlan(plan)
            for (const letter of letters) {
              expect(yield* committed(letter), `${describePlan(plan)} in ${letter}`).toEqual(expected(plan, letter))
            }
          }
        }))
    }

    it.effect("each statement runs on its own database and connection, in a transaction only if its own is open", () =>
      Effect.gen(function*() {
        const names = { M: yield* nameOf(MainDb), G: yield* nameOf(GarminDb), B: yield* nameOf(BloodDb) }
        expect(new Set(Object.values(names)).size).toBe(3)
        yield* setUp
        for (const first of letters) {
          for (const second of letters) {
            for (const third of letters) {
              const open = [first, second, third]
              yield* transaction(
                first,
                transaction(
                  second,
                  transaction(
                    third,
                    Effect.gen(function*() {
                      const threads = new Map<number, Letter>()
                      for (const letter of [...letters, ...letters]) {
                        const { db, open: inTransaction, thread } = yield* whereabouts(letter)
                        expect(db).toBe(names[letter])
                        expect(inTransaction).toBe(open.includes(letter))
                        expect(threads.get(thread) ?? letter).toBe(letter)
                        threads.set(thread, letter)
                      }
                    })
                  )
                )
              )
            }
          }
        }
      }))

    it.effect("savepoints alternate: Main > Garmin > Main > Garmin, undone from each depth", () =>
      Effect.gen(function*() {
        yield* setUp
        for (const failing of [0, 1, 2, 3, 4]) {
          yield* onEach((letter) => Effect.flatMap(client(letter), (sql) => sql`DELETE FROM records`))
          const levels = ["M", "G", "M", "G"] as const
          const level = (index: number): Effect.Effect<void, unknown, Env> => {
            const letter = levels[index]
            if (letter === undefined) return Effect.void
            return transaction(
              letter,
              Effect.gen(function*() {
                yield* write("M", `${index}`)
                yield* write("G", `${index}`)
                const threads = yield* Effect.all([whereabouts("M"), whereabouts("G")])
                expect(threads[0].thread).not.toBe(threads[1].thread)
                yield* Effect.ignore(level(index + 1))
                if (index === failing) yield* Effect.fail("undo")
              })
            )
          }
          yield* Effect.ignore(level(0))
          const plan = levels.map((letter, index) => ({ letter, commits: index !== failing }))
          for (const letter of ["M", "G"] as const) {
            const kept = [0, 1, 2, 3].filter((written) =>
              plan.slice(0, written + 1).every((each) => each.letter !== letter || each.commits)
            )
            expect(yield* committed(letter), `failing ${failing}, ${letter}`).toEqual(kept.map((n) => `${letter}:${n}`))
          }
        }
      }))

    it.effect("one database's COMMIT does not wait for the other, and its rows are visible at once", () =>
      Effect.gen(function*() {
        yield* setUp
        yield* transaction(
          "M",
          Effect.gen(function*() {
            yield* write("M", "outer")
            yield* transaction("G", write("G", "inner"))
            // Seen by a connection outside of both transactions.
            const outside = Effect.forkDaemon(Effect.all([committed("M"), committed("G")]))
            const seen = yield* Effect.flatMap(outside, (fiber) => fiber)
            expect(seen[1]).toEqual(["G:inner"])
            // The forked fiber is still in the transaction on Main.
            expect(seen[0]).toEqual(["M:outer"])
          })
        )
        expect(yield* committed("M")).toEqual(["M:outer"])
      }))

    it.effect("concurrent fibers with different open transactions do not mix", () =>
      Effect.gen(function*() {
        yield* setUp
        const sets: ReadonlyArray<ReadonlyArray<Letter>> = [
          [],
          ["M"],
          ["G"],
          ["B"],
          ["M", "G"],
          ["G", "M"],
          ["B", "M"],
          ["M", "B", "G"],
          ["G", "B", "M"],
          ["M", "G", "M"]
        ]
        const plan = sets.flatMap((open, number) => [true, false].map((commits) => ({ open, commits, number })))
        yield* Effect.forEach(plan, ({ commits, number, open }) =>
          Effect.gen(function*() {
            const body = Effect.gen(function*() {
              for (let i = 0; i < 3; i++) {
                for (const letter of letters) {
                  yield* write(letter, `${number}-${commits}-${i}`)
                  const { db, open: inTransaction } = yield* whereabouts(letter)
                  expect(db).toContain({ M: "main", G: "garmin", B: "blood" }[letter])
                  expect(inTransaction).toBe(open.includes(letter))
                  if (yield* Random.nextBoolean) yield* Effect.yieldNow()
                }
              }
              if (!commits) yield* Effect.fail("undo")
            })
            yield* Effect.ignore(
              open.reduceRight((inner, letter) => transaction(letter, inner), body as Effect.Effect<void, unknown, Env>)
            )
          }), { concurrency: "unbounded", discard: true })
        for (const letter of letters) {
          const kept = plan.filter(({ commits, open }) => commits || !open.includes(letter))
            .flatMap(({ commits, number }) => [0, 1, 2].map((i) => `${letter}:${number}-${commits}-${i}`)).sort()
          expect([...(yield* committed(letter))].sort()).toEqual(kept)
        }
      }))

    it.effect("two fibers with transactions of the same databases in opposite order, interleaved step by step", () =>
      Effect.gen(function*() {
        yield* setUp
        const a = yield* Deferred.make<void>()
        const b = yield* Deferred.make<void>()
        const [left, right] = yield* Effect.all([
          Effect.either(transaction(
            "M",
            transaction(
              "G",
              Effect.gen(function*() {
                yield* write("M", "left")
                yield* Deferred.succeed(a, undefined)
                yield* Deferred.await(b)
                yield* write("G", "left")
                yield* Effect.fail("undo" as const)
              })
            )
          )),
          Effect.either(transaction(
            "G",
            transaction(
              "M",
              Effect.gen(function*() {
                yield* Deferred.await(a)
                yield* write("G", "right")
                yield* Deferred.succeed(b, undefined)
                yield* write("M", "right")
              })
            )
          ))
        ], { concurrency: 2 })
        expect(Either.isLeft(left)).toBe(true)
        expect(Either.isRight(right)).toBe(true)
        expect(yield* committed("M")).toEqual(["M:right"])
        expect(yield* committed("G")).toEqual(["G:right"])
        expect(yield* committed("B")).toEqual([])
      }))
  })
})
