/**
 * Borrowed from mysql2: the command of a streamed statement, and its row parser (`_rowParser`, a private field).
 *
 * When a stream is left early, megabytes of rows may already be under way. Parsing them would cost more than the query;
 * with this parser they are skipped, and the connection can be used again. If the field changes, rows are parsed and
 * dropped instead: correct, but slow.
 */

const SKIP_ROW = { next: (): undefined => undefined }

/** From now on the command's rows are not parsed; each arrives as `undefined`. */
export const skipRows = (command: object): void => {
  ;(command as { _rowParser?: unknown })._rowParser = SKIP_ROW
}
