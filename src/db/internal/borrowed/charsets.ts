/**
 * Borrowed from mysql2: its table of character sets and collations (`Charsets`), which its types leave out.
 *
 * The driver tells the server a collation by its number, when it logs in. The reset of a session forgets it, and to set it
 * again we need its name. If the table is gone, importing this module fails.
 */
import * as Mysql from "mysql2"

type Numbers = Readonly<Record<string, number>>

const numbers: Numbers = (Mysql as unknown as { readonly default: { readonly Charsets: Numbers } }).default.Charsets

const collations = new Map(
  Object.entries(numbers).flatMap(([name, number]) => name.includes("_") ? [[number, name.toLowerCase()] as const] : [])
)

/**
 * The collation that the driver logs in with: that of this name, or its choice for a character set. None for `binary`,
 * which has none.
 */
export const collationOf = (charset: string): string | undefined => collations.get(numbers[charset.toUpperCase()] ?? -1)
