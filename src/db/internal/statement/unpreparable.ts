/**
 * The texts that the server has refused to prepare (ER_UNSUPPORTED_PS, 1295): BEGIN, USE, LOCK TABLES and others on MySQL.
 * MariaDB prepares them, so only the server can tell. They are sent as text from then on.
 */
export class Unpreparable {
  readonly #texts = new Set<string>()

  has(sql: string): boolean {
    return this.#texts.size > 0 && this.#texts.has(sql)
  }

  add(sql: string): void {
    if (this.#texts.size >= MAX_TEXTS) this.#texts.clear()
    this.#texts.add(sql)
  }
}

/** A full set is emptied: each text then costs one refusal more. */
const MAX_TEXTS = 1_000
