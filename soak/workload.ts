/** Fibers that move money between accounts, in all the ways in which features use the databases. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import { type DatabaseTag, GarminDb, MainDb } from "../src/db/Database.ts"
import { DatabaseError } from "../src/Errors.ts"
import { ACCOUNTS, type Entry, type Told } from "./books.ts"

export type Name = "main" | "garmin"

export type Ledgers = Readonly<Record<Name, Array<Entry>>>

type Transfer = Omit<Entry, "told" | "error">

const move = <Self>(db: DatabaseTag<Self, string>, { amount, from, key, to }: Transfer) =>
  db.use((sql) =>
    Effect.gen(function*() {
      yield* sql`INSERT INTO transfers ${sql.insert({ id: key, source: from, target: to, amount })}`
      yield* sql`UPDATE accounts SET balance = balance - ${amount} WHERE id = ${from}`
      yield* sql`UPDATE accounts SET balance = balance + ${amount} WHERE id = ${to}`
    })
  )

/** What the exit of a transaction says about it. */
const told = <A, E>(exit: Exit.Exit<A, E>): Pick<Entry, "told" | "error"> => {
  if (Exit.isSuccess(exit)) return { told: "committed" }
  if (exit.cause._tag === "Fail" && exit.cause.error instanceof DatabaseError) {
    const { error } = exit.cause
    const outcome: Told = error.reason === "CommitOutcomeUnknown" ? "unknown" : "refused"
    return { told: outcome, error }
  }
  if (exit.cause._tag === "Die") throw exit.cause.defect
  return { told: "interrupted" }
}

const booked = <A, E, R>(ledger: Array<Entry>, entry: Transfer, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.onExit(work, (exit) => Effect.sync(() => ledger.push({ ...entry, ...told(exit) })))

const newTransfer: Effect.Effect<Transfer> = Effect.gen(function*() {
  const from = yield* Random.nextIntBetween(0, ACCOUNTS)
  const step = yield* Random.nextIntBetween(1, ACCOUNTS)
  return { key: randomUUID(), from, to: (from + step) % ACCOUNTS, amount: yield* Random.nextIntBetween(1, 100) }
})

/** One transfer within a database. A tenth of them are interrupted at some moment, a tenth have a short timeout. */
export const transfer = <Self>(db: DatabaseTag<Self, string>, ledger: Array<Entry>) =>
  Effect.gen(function*() {
    const entry = yield* newTransfer
    const hurry = (yield* Random.next) < 0.1 ? yield* Random.nextIntBetween(1, 40) : 60_000
    const work = db.withTransaction(move(db, entry), {
      retries: (yield* Random.nextBoolean) ? 3 : 0,
      ...((yield* Random.next) < 0.1 ? { timeout: 50 } : {})
    })
    yield* Effect.ignore(Effect.timeoutOption(booked(ledger, entry, work), hurry))
  })

/** A transfer in both databases, one transaction inside the other, with a savepoint that is rolled back on the way. */
const both = (ledgers: Ledgers) =>
  Effect.gen(function*() {
    const outer = yield* newTransfer
    const inner = yield* newTransfer
    const givenUp = MainDb.withTransaction(
      Effect.flatMap(newTransfer, (never) => Effect.zipRight(move(MainDb, never), Effect.fail("given up" as const)))
    )
    const main = MainDb.withTransaction(
      Effect.gen(function*() {
        yield* move(MainDb, outer)
        yield* Effect.catchIf(givenUp, (error) => error === "given up", () => Effect.void)
        yield* booked(ledgers.garmin, inner, GarminDb.withTransaction(move(GarminDb, inner)))
      })
    )
    yield* Effect.ignore(booked(ledgers.main, outer, main))
  })

const read = <Self>(db: DatabaseTag<Self, string>) =>
  Effect.ignore(db.use((sql) => Stream.runDrain(Stream.take(sql`SELECT * FROM accounts`.stream, 7))))

/** One piece of work, chosen at random. */
export const step = (ledgers: Ledgers): Effect.Effect<void, never, MainDb | GarminDb> =>
  Effect.flatMap(Random.next, (chance): Effect.Effect<void, never, MainDb | GarminDb> => {
    if (chance < 0.4) return transfer(MainDb, ledgers.main)
    if (chance < 0.75) return transfer(GarminDb, ledgers.garmin)
    if (chance < 0.9) return both(ledgers)
    return chance < 0.95 ? read(MainDb) : read(GarminDb)
  })
