/** What the workload was told about each transfer, and whether the databases agree. */
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
export const OPENING = 10_000

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
