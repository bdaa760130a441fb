/** What the workload was told about each transfer, and whether the databases agree. */
import * as Effect from "effect/Effect"
import type { DatabaseError } from "../src/Errors.ts"

/** "interrupted": nobody was told anything, so the transfer may be there or not. */
export type Told = "committed" | "refused" | "unknown" | "interrupted"

export interface Entry {
  readonly key: string
  readonly from: number
  readonly to: number
  readonly amount: number
  readonly told: Told
  readonly error?: DatabaseError | undefined
}

export interface Found {
  readonly keys: ReadonlySet<string>
  readonly balances: ReadonlyMap<number, number>
}

export const ACCOUNTS = 40
const OPENING = 10_000

type Admin = (sql: string) => Effect.Effect<ReadonlyArray<Readonly<Record<string, unknown>>>>

/** Makes the database, its accounts, and the table of transfers. */
export const prepare = (admin: Admin, database: string): Effect.Effect<void> =>
  Effect.forEach([
    `CREATE DATABASE ${database}`,
    `CREATE TABLE ${database}.accounts (id INT PRIMARY KEY, balance INT NOT NULL)`,
    `CREATE TABLE ${database}.transfers (id CHAR(36) PRIMARY KEY, source INT NOT NULL, target INT NOT NULL, amount INT NOT NULL)`,
    `INSERT INTO ${database}.accounts VALUES ${
      Array.from({ length: ACCOUNTS }, (_, id) => `(${id}, ${OPENING})`).join(",")
    }`
  ], (sql) =>
    admin(sql), { discard: true })

/** What is in the database. */
export const read = (admin: Admin, database: string): Effect.Effect<Found> =>
  Effect.gen(function*() {
    const transfers = yield* admin(`SELECT id FROM ${database}.transfers`)
    const accounts = yield* admin(`SELECT id, balance FROM ${database}.accounts`)
    return {
      keys: new Set(transfers.map(({ id }) => String(id))),
      balances: new Map(accounts.map(({ balance, id }) => [Number(id), Number(balance)]))
    }
  })

/** What the workload was told, counted, on one line. */
export const summary = (database: string, entries: ReadonlyArray<Entry>, { keys }: Found): string => {
  const count = (told: Told, there?: boolean): number =>
    entries.filter((entry) => entry.told === told && (there === undefined || keys.has(entry.key) === there)).length
  const reasons = new Map<string, number>()
  for (const { error } of entries) {
    if (error !== undefined) reasons.set(error.reason, (reasons.get(error.reason) ?? 0) + 1)
  }
  return `${database}: ${count("committed")} committed, ${count("refused")} refused, ${count("unknown")} unknown`
    + ` (${count("unknown", true)} of them there), ${count("interrupted")} interrupted`
    + ` (${count("interrupted", true)} of them there); ${
      [...reasons].map(([reason, n]) => `${reason} ${n}`).join(", ")
    }`
}

/** Everything that does not add up, in words. Empty if the books balance. */
export const audit = (database: string, entries: ReadonlyArray<Entry>, found: Found): ReadonlyArray<string> => {
  const wrong: Array<string> = []
  const expected = new Map(Array.from({ length: ACCOUNTS }, (_, account) => [account, OPENING]))
  const known = new Set(entries.map(({ key }) => key))
  for (const { amount, error, from, key, to, told } of entries) {
    const there = found.keys.has(key)
    if (told === "committed" && !there) wrong.push(`${database}: ${key} was reported as committed and is not there`)
    if (told === "refused" && there) {
      wrong.push(`${database}: ${key} was reported as failed (${error?.message ?? "?"}) and is there`)
    }
    if (there) {
      expected.set(from, expected.get(from)! - amount)
      expected.set(to, expected.get(to)! + amount)
    }
  }
  for (const key of found.keys) if (!known.has(key)) wrong.push(`${database}: ${key} is there and nobody wrote it`)
  for (const [account, balance] of expected) {
    if (found.balances.get(account) !== balance) {
      wrong.push(`${database}: account ${account} holds ${found.balances.get(account)} instead of ${balance}`)
    }
  }
  return wrong
}
