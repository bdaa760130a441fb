/** The options of one transaction. */
import type * as Duration from "effect/Duration"
import type { DatabaseError } from "../../../Errors.ts"
import { makeError } from "../errors/classify.ts"
import type { IsolationLevel } from "../settings/settings.ts"
import { isIsolationLevel, isolationLevels } from "../settings/settings.ts"

/**
 * In the session of an HTTP request a transaction is a savepoint. The first one that sets `isolation` or `readOnly` sets
 * them for the session, if no statement has begun it; after that, others are refused.
 */
export interface TransactionOptions {
  /** For this transaction only. Default: the isolation level of the database's settings. */
  readonly isolation?: IsolationLevel | undefined
  /** The server refuses writes (MySQL error 1792). Default false. */
  readonly readOnly?: boolean | undefined
  /**
   * How often the whole transaction is repeated after a failure for which the server has rolled everything back
   * (deadlock, lock wait timeout, connection lost before COMMIT). Default 0. A nested transaction ignores this option:
   * the `retries` of the outermost one count.
   */
  readonly retries?: number | undefined
  /** How long one run of the body may take, without COMMIT. Then the transaction fails with TransactionTimeout. */
  readonly timeout?: Duration.DurationInput | undefined
}

/** The level becomes part of a statement, and a program without types may give any text. The text is not repeated. */
export const refuseUnknownIsolation = (
  database: string,
  { isolation }: TransactionOptions
): DatabaseError | undefined =>
  isolation === undefined || isIsolationLevel(isolation) ? undefined : makeError(
    database,
    "InvalidParameter",
    "the option \"isolation\" is not an isolation level",
    { hint: `use one of ${isolationLevels.join(", ")}` }
  )
