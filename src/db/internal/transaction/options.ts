/** What can be asked of one transaction. */
import type * as Duration from "effect/Duration"
import type { IsolationLevel } from "../settings/settings.ts"

export interface TransactionOptions {
  /** For this transaction only. Default: the isolation level of the database's settings. */
  readonly isolation?: IsolationLevel | undefined
  /** The server refuses writes (MySQL error 1792). Default false. */
  readonly readOnly?: boolean | undefined
  /**
   * How often the whole transaction is repeated after a failure for which the server has rolled everything back
   * (deadlock, lock wait timeout, connection lost before COMMIT). Default 0. In a nested transaction the `retries` of
   * the outermost one count.
   */
  readonly retries?: number | undefined
  /** How long the body may take, COMMIT not included. Then it is rolled back and fails with TransactionTimeout. */
  readonly timeout?: Duration.DurationInput | undefined
}
