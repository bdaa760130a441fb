/** What ran while a transaction of a sandbox was open and must not be undone with it: `outside` of it, that is. */
import { isWriteHeader } from "../../../db/internal/borrowed/mysql2Connection.ts"
import type { Request } from "../../../db/internal/connection/connection.ts"
import { inspect } from "../../../db/internal/statement/inspectSql.ts"

/** One statement that has changed something. */
export interface Entry {
  readonly request: Request
  readonly result: unknown
  /** It ran outside of the transaction that keeps account of it. */
  readonly outside: boolean
}

/** The AUTO_INCREMENT value that an INSERT was answered with. */
export const insertIdOf = ({ request, result }: Entry): string | undefined => {
  if (!isWriteHeader(result) || !/^(?:INSERT|REPLACE)$/.test(inspect(request.sql).keyword)) return undefined
  const id = String(result.insertId)
  return /^[1-9]\d*$/.test(id) ? id : undefined
}

/** The account of one transaction, in the order in which the statements ran. */
export class KeptWork {
  #entries: Array<Entry> = []
  readonly #savepoints = new Map<string, number>()

  add(entries: ReadonlyArray<Entry>): void {
    this.#entries.push(...entries)
  }

  mark(savepoint: string): void {
    this.#savepoints.set(savepoint, this.#entries.length)
  }

  /** All of it, which is forgotten here. */
  clear(): ReadonlyArray<Entry> {
    const entries = this.#entries
    this.#entries = []
    this.#savepoints.clear()
    return entries
  }

  /** After a rollback to that savepoint, or of everything: what was undone and must not be. */
  undo(savepoint: string | undefined): ReadonlyArray<Entry> {
    const undone = savepoint === undefined
      ? this.clear()
      : this.#entries.splice(this.#savepoints.get(savepoint) ?? this.#entries.length)
    return undone.filter(({ outside }) => outside)
  }
}
