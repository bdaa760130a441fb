/**
 * What a borrower in a sandbox has for a connection. All of them share the real one, statement by statement. A transaction
 * is a savepoint there, and keeps the connection to itself until it ends.
 */
import * as Context from "effect/Context"
import { serverStatus } from "../../../db/internal/borrowed/mysql2Connection.ts"
import type { Done, Request, RowSink, Stopped } from "../../../db/internal/connection/connection.ts"
import { connectionLost, interrupted } from "../../../db/internal/connection/failures.ts"
import { ROLLBACK } from "../../../db/internal/deadlines.ts"
import { classify, toDatabaseError } from "../../../db/internal/errors/classify.ts"
import type { Applicant, Lease, Lender, LentConnection } from "../../../db/internal/lease.ts"
import { unfailed } from "../../../db/internal/lease.ts"
import { inspect } from "../../../db/internal/statement/inspectSql.ts"
import type { OpenTransaction } from "../../../db/internal/transaction/openTransaction.ts"
import type { DatabaseError } from "../../../Errors.ts"
import { type Entry, insertIdOf, KeptWork } from "./keptWork.ts"
import * as TransactionText from "./transactionText.ts"
import { type Activity, TurnLock } from "./turns.ts"

/** No turn has a borrower that it could be named after. */
const NOBODY = Context.empty()

const ours = (sql: string): Request => ({ sql, values: [], rowsAsArray: false, prepared: false })

/** What the connections of one sandbox have in common. */
export interface Shared {
  /** The transaction that everything is in. */
  readonly transaction: OpenTransaction
  readonly activity: Activity
  /** The connections whose transaction is open. */
  readonly holding: Set<SandboxedConnection>
  closed: boolean
  readonly nextId: () => number
  /** What a statement fails with that would end the sandbox. */
  readonly refusedStatement: (sql: string) => DatabaseError
  /** The same failure, which has ended the sandbox. */
  readonly ending: (failure: DatabaseError) => DatabaseError
  /** What the sandbox has ended with if work outside of a transaction cannot be done without it. */
  readonly notRepeated: (failure: DatabaseError) => DatabaseError
}

/** A statement, from when it asks for its turn to its answer. */
interface Statement {
  readonly answer: Done
  /** Takes it back, as long as it waits; undefined once it has been sent. */
  takeBack: (() => void) | undefined
}

export class SandboxedConnection implements LentConnection, Lender {
  readonly #shared: Shared
  /** Where its turns come from: the sandbox, or the connection whose transaction its work has left by `outside`. */
  readonly #turns: Lender
  readonly #host: SandboxedConnection | undefined
  readonly #id: number
  #dead = false
  #turn: Lease | undefined
  #inTransaction = false
  #statement: Statement | undefined
  #stopping = false
  #rollingBack = false
  /** Who may use the turn of the open transaction: its own statements, or work outside of it. */
  readonly #lock: TurnLock
  readonly #kept = new KeptWork()

  constructor(shared: Shared, turns: Lender, host: SandboxedConnection | undefined) {
    this.#shared = shared
    this.#turns = turns
    this.#host = host
    this.#id = shared.nextId()
    this.#lock = new TurnLock(shared.activity)
  }

  get dead(): boolean {
    return this.#dead || this.#shared.transaction.connection?.dead === true
  }

  /** Whether a transaction is open on it. */
  get inTransaction(): boolean {
    return this.#inTransaction
  }

  /** The first turn, which comes with the loan. */
  begin(turn: Lease): void {
    this.#turn = turn
  }

  /** Lends its turn to work outside of its transaction; after the end of that, a turn from where its own came from. */
  lend(context: Parameters<Lender["lend"]>[0], applicant: Applicant): () => void {
    let takeBack = this.#lock.acquire(
      0,
      () => {
        const turn = this.#turn
        if (turn === undefined || !this.#inTransaction) {
          this.#lock.release()
          takeBack = this.#turns.lend(context, applicant)
          return
        }
        this.#whenSure(
          () =>
            applicant.onLease({
              connection: turn.connection,
              inTransaction: true,
              end: () => this.#lock.release()
            }),
          (refusal) => {
            this.#lock.release()
            applicant.onRefusal(refusal)
          }
        )
      },
      (why) => applicant.onRefusal(this.#refusal(why))
    )
    return () => takeBack()
  }

  run(request: Request, done: Done): void {
    const text = TransactionText.read(request.sql)
    if (text === undefined && inspect(request.sql).endsTransaction) return this.#refuse(request.sql, done)
    this.#start(request, text, done, (connection, answered) => {
      const sent = text === undefined ? request : ours(TransactionText.asSavepoint(text, this.#id, this.#inTransaction))
      connection.run(sent, answered)
    })
  }

  /** The rows are all read before the first is handed out, so that other statements can run meanwhile. */
  stream(request: Request, sink: RowSink): void {
    const rows: Array<Parameters<RowSink["onRow"]>> = []
    const done = (error: unknown): void => {
      for (const [row, columns] of rows) sink.onRow(row, columns)
      sink.onEnd(error)
    }
    if (inspect(request.sql).endsTransaction) return this.#refuse(request.sql, done)
    this.#start(request, undefined, done, (connection, answered) =>
      connection.stream(request, {
        onRow: (row, columns) => {
          rows.push([row, columns])
          connection.resume()
        },
        onEnd: (error) => answered(error, undefined)
      }))
  }

  resume(): void {}

  stop(done: (stopped: Stopped) => void): void {
    const statement = this.#statement
    const { connection } = this.#shared.transaction
    if (statement?.takeBack !== undefined) {
      this.#takeBack(statement, interrupted())
    } else if (connection !== undefined && (statement !== undefined || this.#stopping)) {
      this.#stopping = true
      connection.stop((stopped) => {
        this.#stopping = false
        this.settle()
        done(stopped)
      })
      return
    }
    done({ reusable: !this.dead, answered: !this.dead })
  }

  /** As when a connection is cut: what is not committed is rolled back. */
  destroy(): void {
    if (this.#dead) return
    this.#dead = true
    const statement = this.#statement
    if (statement === undefined) return this.#rollBack()
    if (statement.takeBack === undefined) this.#shared.transaction.cut()
    else {
      this.#takeBack(statement, connectionLost())
      this.#rollBack()
    }
  }

  /** The end of the loan. */
  end(): void {
    this.#dead = true
    this.#rollBack()
  }

  /** Gives the turn back, unless the transaction is open, or a KILL on its way to the statement that has ended. */
  settle(): void {
    const turn = this.#turn
    if (turn === undefined || this.#stopping || this.#statement !== undefined) return
    if (this.#inTransaction && !this.#shared.closed) return
    this.#turn = undefined
    this.#shared.holding.delete(this)
    turn.end(unfailed(false))
  }

  /** The end of the sandbox: gives the turn of an open transaction back, as soon as nothing runs in it. */
  close(): void {
    this.#lock.close(() => this.settle())
  }

  #refusal(why: "closed" | "timeout"): DatabaseError {
    const { transaction } = this.#shared
    return why === "closed" ? transaction.closedError() : transaction.dataSource.busyError("the sandbox")
  }

  #refuse(sql: string, done: Done): void {
    queueMicrotask(() => done(this.#shared.refusedStatement(sql), undefined))
  }

  #start(
    request: Request,
    text: TransactionText.TransactionText | undefined,
    done: Done,
    send: (connection: LentConnection, answered: Done) => void
  ): void {
    if (this.#dead) return queueMicrotask(() => done(connectionLost(), undefined))
    const { activity } = this.#shared
    const statement: Statement = { answer: done, takeBack: () => {} }
    this.#statement = statement
    const onTurn = (turn: Lease, locked: boolean): void => {
      this.#turn = turn
      statement.takeBack = undefined
      activity.begin()
      send(turn.connection, (error, result, columns) => {
        const failure = this.#note(request.sql, text !== undefined, error, result)
        this.#afterwards(request, text, failure, result, () => {
          activity.end()
          this.#statement = undefined
          if (locked) this.#lock.release()
          this.settle()
          done(failure, result, columns)
        })
      })
    }
    const onRefusal = (refusal: DatabaseError): void => {
      this.#statement = undefined
      done(refusal, undefined)
    }
    const turn = this.#turn
    if (turn === undefined) {
      const takeBack = this.#turns.lend(NOBODY, { onLease: (turn) => onTurn(turn, false), onRefusal })
      if (statement.takeBack !== undefined) statement.takeBack = takeBack
    } else if (this.#inTransaction) {
      const takeBack = this.#lock.acquire(
        0,
        () =>
          this.#whenSure(() => {
            if (this.#statement !== statement) return this.#lock.release()
            onTurn(turn, true)
          }, (refusal) => {
            this.#lock.release()
            if (this.#statement === statement) onRefusal(refusal)
          }),
        (why) => onRefusal(this.#refusal(why))
      )
      if (statement.takeBack !== undefined) statement.takeBack = takeBack
    } else {
      onTurn(turn, false)
    }
  }

  #takeBack(statement: Statement, error: unknown): void {
    statement.takeBack?.()
    this.#statement = undefined
    statement.answer(error, undefined)
  }

  #whenSure(then: () => void, onRefusal: (refusal: DatabaseError) => void): void {
    const { closed, transaction } = this.#shared
    if (closed) return onRefusal(transaction.closedError())
    if (transaction.isUsable) return then()
    transaction.whenSure(() => transaction.isUsable ? then() : onRefusal(transaction.refusal()))
  }

  /** Tells the sandbox what became of a statement. A failure that ended the sandbox says so. */
  #note(sql: string, aboutTransaction: boolean, error: unknown, result: unknown): unknown {
    const { ending, transaction } = this.#shared
    const { changesSession, mayCommit } = inspect(sql)
    const changedSession = changesSession && !aboutTransaction
    if (error === null) {
      transaction.note({ failure: undefined, status: serverStatus(result), changedSession, mayCommit })
      return null
    }
    const failure = toDatabaseError(transaction.dataSource.name, error, sql)
    transaction.note({
      failure: { error: failure, classification: classify(error) },
      status: undefined,
      changedSession,
      mayCommit
    })
    return transaction.aborted === undefined ? error : ending(failure)
  }

  /** Keeps account of the transaction, and does again what ran outside of what was rolled back. */
  #afterwards(
    request: Request,
    text: TransactionText.TransactionText | undefined,
    error: unknown,
    result: unknown,
    done: () => void
  ): void {
    const host = this.#host
    const endWith = (entries: ReadonlyArray<Entry>): void => {
      this.#inTransaction = false
      host?.keep(entries)
      done()
    }
    if (error !== null) {
      if (text?.kind === "rollback") this.#inTransaction = false
      return done()
    }
    switch (text?.kind) {
      case "begin":
        this.#inTransaction = true
        this.#shared.holding.add(this)
        this.#kept.clear()
        return done()
      case "commit":
        return endWith(this.#kept.clear())
      case "rollback":
        return this.#again(this.#kept.undo(undefined), endWith)
      case "savepoint":
        this.#kept.mark(text.name)
        return done()
      case "rollbackTo":
        return this.#again(this.#kept.undo(text.name), (entries) => {
          this.#kept.add(entries)
          done()
        })
      case undefined:
        if (host !== undefined && !inspect(request.sql).reads) {
          const entry: Entry = { request, result, outside: false }
          if (this.#inTransaction) this.#kept.add([entry])
          else host.keep([entry])
        }
        return done()
      default:
        return done()
    }
  }

  /** What ran outside of the transaction that is open here: a rollback of that must not undo it. */
  keep(entries: ReadonlyArray<Entry>): void {
    if (!this.#inTransaction) this.#host?.keep(entries)
    else this.#kept.add(entries.map((entry) => ({ ...entry, outside: true })))
  }

  /** Runs what a rollback has undone although it was outside of it. */
  #again(entries: ReadonlyArray<Entry>, done: (entries: ReadonlyArray<Entry>) => void): void {
    const { transaction } = this.#shared
    const { connection } = transaction
    const next = (index: number): void => {
      const entry = entries[index]
      if (entry === undefined || connection === undefined) return done(entries)
      const run = (): void =>
        connection.run(entry.request, (error) => {
          if (error === null) return next(index + 1)
          transaction.aborted ??= this.#shared.notRepeated(
            toDatabaseError(transaction.dataSource.name, error, entry.request.sql)
          )
          done([])
        })
      const id = insertIdOf(entry)
      if (id === undefined) run()
      // Whoever has been told the id of the row must find it. Without the privilege it becomes another.
      else connection.run(ours(`SET INSERT_ID = ${id}`), run)
    }
    next(0)
  }

  #rollBack(): void {
    const { activity, closed, transaction } = this.#shared
    if (!this.#inTransaction || this.#rollingBack || this.#statement !== undefined) return
    const over = (entries: ReadonlyArray<Entry>): void => {
      this.#inTransaction = false
      this.#host?.keep(entries)
      this.settle()
    }
    if (closed || transaction.aborted !== undefined || transaction.connection?.dead !== false) {
      return over([])
    }
    this.#rollingBack = true
    // Work outside of the transaction may still be running.
    this.#lock.acquire(0, () => {
      const done = (entries: ReadonlyArray<Entry>): void => {
        activity.end()
        this.#lock.release()
        over(entries)
      }
      if (transaction.connection?.dead !== false) return done([])
      activity.begin()
      transaction.send(TransactionText.asSavepoint({ kind: "rollback" }, this.#id, true), ROLLBACK, (error) => {
        if (error !== null) transaction.cut()
        this.#again(this.#kept.undo(undefined), done)
      })
    }, (why) => {
      // The end of the sandbox rolls everything back.
      if (why === "closed") return
      transaction.cut()
      over([])
    })
  }
}
