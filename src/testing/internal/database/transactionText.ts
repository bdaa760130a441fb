/** The statements about transactions, by their text: those that this package sends itself, and the same written by hand. */

/** `options`: SET TRANSACTION. `probe`: the question whether the transaction is still open. */
export type TransactionText =
  | { readonly kind: "begin" | "commit" | "rollback" | "options" | "probe" }
  | { readonly kind: "savepoint" | "rollbackTo" | "release"; readonly name: string }

const plain = [
  ["begin", /^(?:BEGIN(?: WORK)?|START TRANSACTION\b[^;]*)$/i],
  ["commit", /^COMMIT(?: WORK)?$/i],
  ["rollback", /^ROLLBACK(?: WORK)?$/i],
  ["options", /^SET TRANSACTION\b[^;]*$/i],
  ["probe", /^DO 0$/i]
] as const

const named = [
  ["savepoint", /^SAVEPOINT `?(\w+)`?$/i],
  ["rollbackTo", /^ROLLBACK(?: WORK)? TO(?: SAVEPOINT)? `?(\w+)`?$/i],
  ["release", /^RELEASE SAVEPOINT `?(\w+)`?$/i]
] as const

/** No statement about transactions begins otherwise; most statements need no closer look. */
const candidate = /^\s*(?:BEGIN|START|COMMIT|ROLLBACK|SET|DO|SAVEPOINT|RELEASE)\b/i

export const read = (sql: string): TransactionText | undefined => {
  if (!candidate.test(sql)) return undefined
  const text = sql.replace(/\s+/g, " ").replace(/^ | ?;? ?$/g, "")
  const found = plain.find(([, pattern]) => pattern.test(text))
  if (found !== undefined) return { kind: found[0] }
  for (const [kind, pattern] of named) {
    const name = pattern.exec(text)?.[1]
    if (name !== undefined) return { kind, name }
  }
  return undefined
}

/**
 * What is sent in a sandbox, where the transaction of a connection is a savepoint. The numbers of connections keep the names
 * of their savepoints apart. What has nothing to do there asks whether the transaction is open.
 */
export const asSavepoint = (text: TransactionText, connection: number, inTransaction: boolean): string => {
  const own = `betterai_sandbox_${connection}`
  switch (text.kind) {
    case "begin":
      return `SAVEPOINT ${own}`
    case "commit":
      return inTransaction ? `RELEASE SAVEPOINT ${own}` : PROBE
    case "rollback":
      return inTransaction ? `ROLLBACK TO SAVEPOINT ${own}` : PROBE
    case "savepoint":
      return `SAVEPOINT ${text.name}_${connection}`
    case "rollbackTo":
      return `ROLLBACK TO SAVEPOINT ${text.name}_${connection}`
    case "release":
      return `RELEASE SAVEPOINT ${text.name}_${connection}`
    default:
      return PROBE
  }
}

const PROBE = "DO 0"
