/** From the driver's results to rows. */

/** A client's transformation of its rows, as `@effect/sql` passes it along. */
export type Transform = (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

/** The rows of a result. An INSERT has none; its counts are in `.raw` and `Database.write`. */
export const rows = (result: unknown): ReadonlyArray<any> => Array.isArray(result) ? result : []

/** The rows of a result, transformed. */
export const transformedRows = (transform: Transform): (result: unknown) => ReadonlyArray<any> =>
  transform === undefined ? rows : (result) => transform(rows(result))
