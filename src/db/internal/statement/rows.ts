/** What the results of statements become. */

/** A client's transformation of its rows, as `@effect/sql` passes it along. */
export type Transform = (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

/** What `@effect/sql` calls a result: rows. An INSERT has none; its counts are in `.raw` and `Database.write`. */
export const rows = (result: unknown): ReadonlyArray<any> => Array.isArray(result) ? result : []

/** The rows of a result, transformed. */
export const transformedRows = (transform: Transform): (result: unknown) => ReadonlyArray<any> =>
  transform === undefined ? rows : (result) => transform(rows(result))
