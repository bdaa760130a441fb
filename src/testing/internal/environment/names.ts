/**
 * The names of the databases that tests make. A name says what it is for and when it was made, so that what a killed run
 * has left can be told from everything else on the server: nothing that does not fit the pattern in every character is
 * ever dropped.
 */
import { createHash } from "node:crypto"

/** What is added to the name of a database for the copy of its rows at the beginning. */
export const ROWS = "_rows"

/** At most 64 characters, as MySQL wants it: 14 + 16 + 1 + 4 + 1 + 8 + 1 + 12 + 5. */
export const make = (tag: string, worker: string, madeAt: number, random: string): string =>
  `betterai_test_${word(tag, 16)}_${word(worker, 4)}_${madeAt.toString(16).padStart(8, "0")}_${random}`

const word = (text: string, length: number): string =>
  text.toLowerCase().replace(/[^a-z0-9]/g, "").slice(0, length) || "0"

const pattern = /^(betterai_test_[a-z0-9]{1,16}_[a-z0-9]{1,4}_([0-9a-f]{8})_[0-9a-f]{12})(?:_rows)?$/

export interface Made {
  /** The name of the lock that its owner holds: that of the database that is worked in. */
  readonly lock: string
  /** Seconds since 1970, by the server's clock. */
  readonly madeAt: number
}

/** Undefined for every database that is not one of these. */
export const read = (name: string): Made | undefined => {
  const found = pattern.exec(name)
  return found === null ? undefined : { lock: found[1]!, madeAt: Number.parseInt(found[2]!, 16) }
}

/** The name of the template with that content, whoever makes it. */
export const template = (content: unknown): string =>
  `betterai_template_${createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 40)}`

export const isTemplate = (name: string): boolean => /^betterai_template_[0-9a-f]{40}$/.test(name)
