/**
 * The faults that a plan for `Testing.faults` is made of. Each gives the error that the server, the driver or the pool
 * would give, and what it would do to the transaction and the connection is done.
 */
import * as Failures from "../db/internal/connection/failures.ts"
import type { DataSource } from "../db/internal/dataSource.ts"
import { classify } from "../db/internal/errors/classify.ts"
import { inspect } from "../db/internal/statement/inspectSql.ts"
import { failureAfterLimit } from "../db/internal/statement/timeLimit.ts"
import type {
  CommitFaultOptions,
  ConnectionFaultOptions,
  Fault,
  FaultOptions,
  Scene,
  Statement,
  StatementFaultOptions
} from "./internal/database/faultModel.ts"
import { make } from "./internal/database/faultModel.ts"

export type { CommitFaultOptions, ConnectionFaultOptions, Fault, FaultOptions, Statement, StatementFaultOptions }

const ofStatement = (
  name: string,
  options: StatementFaultOptions,
  known: ReadonlyArray<string>,
  strike: (scene: Scene) => void,
  writesOnly = false
): Fault =>
  make({ at: "statement", name, options: { ...options }, known: ["statement", "times", ...known], strike, writesOnly })

/** What the driver makes of an error of the server. `code`: the server's name for the number. */
const serverError = (errno: number, code: string | undefined, sqlState: string, message: string): Error =>
  Object.assign(new Error(message), { errno, code, sqlState, sqlMessage: message })

/** Answers as the server would, and does with the transaction what the server would have done. */
const answer = (error: unknown) => ({ connection, done }: Scene): void => {
  const { discard, transaction } = classify(error)
  if (discard && transaction === "gone") connection.destroy()
  if (discard || transaction !== "gone") return queueMicrotask(() => done(error, undefined))
  connection.run({ sql: "ROLLBACK", values: [], rowsAsArray: false, prepared: false }, () => done(error, undefined))
}

const lose = (carriedOut: boolean) => ({ carryOut, connection, done }: Scene): void => {
  const lost = (): void => {
    connection.destroy()
    done(Failures.connectionLost(), undefined)
  }
  if (carriedOut) carryOut(lost)
  else queueMicrotask(lost)
}

/** InnoDB's deadlock (1213): the server rolls the whole transaction back. The statement is not carried out. */
export const deadlock = (options: StatementFaultOptions = {}): Fault =>
  ofStatement(
    "deadlock",
    options,
    [],
    answer(
      serverError(
        1213,
        "ER_LOCK_DEADLOCK",
        "40001",
        "Deadlock found when trying to get lock; try restarting transaction"
      )
    )
  )

/** A row is locked for too long (1205). The statement is not carried out; its transaction is still open. */
export const lockWaitTimeout = (options: StatementFaultOptions = {}): Fault =>
  ofStatement(
    "lockWaitTimeout",
    options,
    [],
    answer(serverError(1205, "ER_LOCK_WAIT_TIMEOUT", "HY000", "Lock wait timeout exceeded; try restarting transaction"))
  )

/** A value that is there already (1062), with the name of the key as the server gives it. */
export const uniqueViolation = (options: StatementFaultOptions & { readonly constraint: string }): Fault =>
  ofStatement(
    "uniqueViolation",
    options,
    ["constraint"],
    answer(serverError(1062, "ER_DUP_ENTRY", "23000", `Duplicate entry '?' for key '${options.constraint}'`)),
    true
  )

/** A row that is referred to is not there (1452). To DELETE: there are rows that refer to the row (1451). */
export const foreignKeyViolation = (options: StatementFaultOptions & { readonly constraint: string }): Fault => {
  const violated = `a foreign key constraint fails (\`?\`.\`?\`, CONSTRAINT \`${options.constraint}\``
    + " FOREIGN KEY (`?`) REFERENCES `?` (`?`))"
  const child = answer(
    serverError(1452, "ER_NO_REFERENCED_ROW_2", "23000", `Cannot add or update a child row: ${violated}`)
  )
  const parent = answer(
    serverError(1451, "ER_ROW_IS_REFERENCED_2", "23000", `Cannot delete or update a parent row: ${violated}`)
  )
  return ofStatement(
    "foreignKeyViolation",
    options,
    ["constraint"],
    (scene) => (inspect(scene.request.sql).keyword === "DELETE" ? parent : child)(scene),
    true
  )
}

/**
 * Any error of the server, by its number. If it means that the transaction is rolled back, or that the connection is lost,
 * it is.
 */
export const error = (
  options: StatementFaultOptions & {
    readonly errno: number
    /** Default "HY000". */
    readonly sqlState?: string | undefined
    readonly message?: string | undefined
  }
): Fault =>
  ofStatement(
    "error",
    options,
    ["errno", "sqlState", "message"],
    answer(
      serverError(
        options.errno,
        undefined,
        options.sqlState ?? "HY000",
        options.message ?? "injected by a plan of faults"
      )
    )
  )

/**
 * The connection is lost. With `carriedOut` the server has carried the statement out, and its answer is lost; without, the
 * statement was not sent: the program cannot tell the two apart.
 */
export const connectionLost = (
  options: StatementFaultOptions & { readonly carriedOut?: boolean | undefined } = {}
): Fault => ofStatement("connectionLost", options, ["carriedOut"], lose(options.carriedOut === true))

/** The limit of STATEMENT_TIMEOUT has passed, and the statement was stopped. Without the setting, it is one second. */
export const statementTimeout = (options: StatementFaultOptions = {}): Fault =>
  ofStatement("statementTimeout", options, [], ({ dataSource, done, request }) => {
    const { settings } = dataSource
    const limited: DataSource = settings.statementTimeout !== Infinity
      ? dataSource
      : Object.create(dataSource, { settings: { value: { ...settings, statementTimeout: 1_000 } } })
    const interrupted = serverError(1317, "ER_QUERY_INTERRUPTED", "70100", "Query execution was interrupted")
    queueMicrotask(() => done(failureAfterLimit(limited, request.sql, interrupted), undefined))
  })

/** The server has become read-only, as an old writer after a fail-over (1290). Meets statements that write. */
export const readOnlyServer = (options: StatementFaultOptions = {}): Fault =>
  ofStatement(
    "readOnlyServer",
    options,
    [],
    answer(serverError(
      1290,
      "ER_OPTION_PREVENTS_STATEMENT",
      "HY000",
      "The MySQL server is running with the --read-only option so it cannot execute this statement"
    )),
    true
  )

/**
 * The answer to COMMIT is lost, so that its outcome is unknown. `committed`: whether it was carried out, which the program
 * cannot know. Default true.
 */
export const commitLost = (
  options: CommitFaultOptions & { readonly committed?: boolean | undefined } = {}
): Fault =>
  make({
    at: "commit",
    name: "commitLost",
    options: { ...options },
    known: ["commit", "times", "committed"],
    strike: lose(options.committed !== false)
  })

/** All connections of the pool are in use, and none becomes free in time. */
export const poolTimeout = (options: ConnectionFaultOptions = {}): Fault =>
  make({
    at: "connection",
    name: "poolTimeout",
    options: { ...options },
    known: ["connection", "times"],
    refusal: (dataSource) => {
      const { maxOverflow, poolSize } = dataSource.settings
      const stats = { ...dataSource.stats, active: poolSize + maxOverflow, idle: 0, waiting: 1 }
      return dataSource.acquireError({ _tag: "Timeout", cause: undefined, stats })
    }
  })

/** No new connection can be opened: nothing listens at the address of the server. */
export const unreachable = (options: ConnectionFaultOptions = {}): Fault =>
  make({
    at: "connection",
    name: "unreachable",
    options: { ...options },
    known: ["connection", "times"],
    refusal: (dataSource) => {
      const { host, port } = dataSource.settings
      const cause = Object.assign(new Error(`connect ECONNREFUSED ${host}:${port}`), {
        code: "ECONNREFUSED",
        syscall: "connect"
      })
      return dataSource.acquireError({ _tag: "DialFailed", cause, stats: dataSource.stats })
    }
  })
