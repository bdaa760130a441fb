/** The setting `statementTimeout`: a statement that takes longer is stopped on the server. */
import type { Done, Request } from "../connection/connection.ts"
import type { DataSource } from "../dataSource.ts"
import { classify, makeError } from "../errors/classify.ts"
import type { LentConnection } from "../lease.ts"
import { schedule } from "../waiting/schedule.ts"

/**
 * Counts the time in which a statement is waited for, each time anew. After the limit it stops the statement on the
 * server; whatever the server says of the statement then, it is over only when `stopped` is called.
 */
export class TimeLimit {
  readonly #limit: number
  readonly #connection: LentConnection
  readonly #stopped: () => void
  #cancel: (() => void) | undefined
  /** The limit has passed. */
  passed = false

  /** `limit` in milliseconds; Infinity = none. */
  constructor(limit: number, connection: LentConnection, stopped: () => void) {
    this.#limit = limit
    this.#connection = connection
    this.#stopped = stopped
  }

  start(): void {
    if (this.#limit === Infinity || this.passed || this.#cancel !== undefined) return
    this.#cancel = schedule(this.#limit, () => {
      this.passed = true
      this.#connection.stop(() => this.#stopped())
    })
  }

  pause(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }
}

/** Runs a statement within the limit of its database. */
export const runWithinLimit = (
  dataSource: DataSource,
  connection: LentConnection,
  request: Request,
  done: Done
): void => {
  const { statementTimeout } = dataSource.settings
  if (statementTimeout === Infinity || request.unlimited === true) return connection.run(request, done)
  let reply: readonly [error: unknown, result: unknown]
  const limit = new TimeLimit(statementTimeout, connection, () => {
    const [error, result] = reply
    done(failureAfterLimit(dataSource, request.sql, error), result)
  })
  limit.start()
  connection.run(request, (error, result) => {
    limit.pause()
    reply = [error, result]
    if (!limit.passed) done(error, result)
  })
}

/**
 * What a statement that was stopped has failed with. The server has the last word: it may have finished the statement
 * (`null`), or have refused it for a reason of its own.
 */
export const failureAfterLimit = ({ name, settings }: DataSource, sql: string, error: unknown): unknown => {
  const after = `the statement took longer than ${settings.statementTimeout} ms`
  switch (error === null ? undefined : classify(error).reason) {
    case "Cancelled":
      return makeError(name, "StatementTimeout", `${after} and was stopped`, {
        hint: "make it faster, or raise STATEMENT_TIMEOUT",
        cause: error,
        statement: sql
      })
    case "ConnectionLost":
      return Object.assign(new Error(`${after}, and its connection was lost before it had stopped`), {
        code: "STATEMENT_NOT_STOPPED"
      })
    default:
      return error
  }
}
