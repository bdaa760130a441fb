/** A statement whose rows are read as they arrive: bounded memory, back-pressure to the socket, and a prompt end. */
import type { SqlError } from "@effect/sql/SqlError"
import * as Chunk from "effect/Chunk"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Request } from "../connection/connection.ts"
import type { DataSource } from "../dataSource.ts"
import { isUnpreparable } from "../errors/classify.ts"
import { toSqlError } from "../errors/sqlError.ts"
import type { Lease, Lender } from "../lease.ts"
import { decodeRow } from "../values/columns.ts"
import { undecodable } from "../values/result.ts"
import type { InspectedSql } from "./inspectSql.ts"
import { unprepared } from "./request.ts"
import type { Transform } from "./rows.ts"
import { failureAfterLimit, TimeLimit } from "./timeLimit.ts"

export const open = (
  dataSource: DataSource,
  lender: Lender,
  request: Request,
  text: InspectedSql,
  transform: Transform,
  context: Context.Context<never>
): Effect.Effect<Stream.Stream<any, SqlError>, SqlError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new RowReader(dataSource, request, text)),
      (reader) => Effect.suspend(() => reader.close())
    ),
    (reader) =>
      Stream.repeatEffectChunkOption(Effect.suspend(() => reader.pull(lender, context))).pipe((rows) =>
        transform === undefined
          ? rows
          : Stream.mapChunks(rows, (chunk) => Chunk.unsafeFromArray(transform([...chunk])))
      )
  )

type Pull = Effect.Effect<Chunk.Chunk<any>, Option.Option<SqlError>>

class RowReader {
  readonly #dataSource: DataSource
  readonly #request: Request
  readonly #text: InspectedSql
  #started = false
  #sent = false
  #takeBack: (() => void) | undefined
  #lease: Lease | undefined
  /** Counts only while the reader waits. */
  #limit: TimeLimit | undefined
  #rows: Array<unknown> = []
  #closing = false
  #ended = false
  /** How the server ended a statement that was being stopped: it may have been a deadlock. */
  #closingError: unknown = null
  #failure: SqlError | undefined
  /** A row that cannot be converted: the stream fails there, and its end stops the statement. */
  #undecodable: SqlError | undefined
  #wake: (() => void) | undefined

  constructor(dataSource: DataSource, request: Request, text: InspectedSql) {
    this.#dataSource = dataSource
    this.#request = request
    this.#text = text
  }

  /** The rows that have arrived, waiting for some if there are none. The first pull borrows the connection. */
  pull(lender: Lender, context: Context.Context<never>): Pull {
    const ready = this.#take()
    if (ready !== undefined) return ready
    return Effect.async<Chunk.Chunk<any>, Option.Option<SqlError>>((resume) => {
      // Taking rows resumes the driver, which may bring more rows and the end at once; those are for the next pull.
      const wake = (): void => {
        this.#wake = undefined
        const ready = this.#take()
        if (ready === undefined) this.#wake = wake
        else resume(ready)
      }
      this.#wake = wake
      if (!this.#started) this.#start(lender, context)
      else this.#limit?.start()
      return Effect.sync(() => {
        this.#wake = undefined
        this.#limit?.pause()
      })
    })
  }

  /** Ends the statement at any point. The connection goes back healthy, or is cut if the server does not answer. */
  close(): Effect.Effect<void> {
    this.#closing = true
    this.#limit?.pause()
    this.#rows = []
    const lease = this.#lease
    if (lease === undefined) {
      this.#takeBack?.()
      return Effect.void
    }
    if (this.#ended) return Effect.void
    return Effect.async<void>((resume) => {
      lease.connection.stop(() => {
        if (!this.#ended) {
          this.#ended = true
          this.#end(lease, this.#closingError)
        }
        resume(Effect.void)
      })
    })
  }

  #start(lender: Lender, context: Context.Context<never>): void {
    this.#started = true
    this.#takeBack = lender.lend(context, {
      onLease: (lease) => {
        this.#lease = lease
        this.#sent = !lease.connection.dead
        this.#send(lease, this.#request)
      },
      onRefusal: (error) => {
        this.#ended = true
        this.#failure = toSqlError(error)
        this.#wake?.()
      }
    })
  }

  #send(lease: Lease, request: Request): void {
    const limit = new TimeLimit(this.#dataSource.settings.statementTimeout, lease.connection, () => {
      this.#ended = true
      this.#end(lease, failureAfterLimit(this.#dataSource, request.sql, this.#closingError))
      this.#wake?.()
    })
    this.#limit = limit
    limit.start()
    lease.connection.stream(request, {
      onRow: (row, columns) => {
        if (this.#closing || this.#undecodable !== undefined) return
        limit.pause()
        const column = columns === undefined ? undefined : decodeRow(row, columns)
        if (column !== undefined) {
          this.#undecodable = toSqlError(undecodable(this.#dataSource.name, this.#request.sql, column))
          if (this.#rows.length === 0) queueMicrotask(() => this.#wake?.())
          return
        }
        this.#rows.push(row)
        // One read of the socket brings many rows: hand them out together.
        if (this.#rows.length === 1) queueMicrotask(() => this.#wake?.())
      },
      onEnd: (error) => {
        limit.pause()
        // The connection is kept until the KILL has been answered too.
        if (this.#closing || limit.passed) {
          this.#closingError = error
          return
        }
        const asText = isUnpreparable(error) ? unprepared(this.#dataSource, request) : undefined
        if (asText !== undefined) return this.#send(lease, asText)
        this.#ended = true
        this.#end(lease, error)
        this.#wake?.()
      }
    })
  }

  #end(lease: Lease, error: unknown): void {
    const failure = this.#dataSource.settle(lease, this.#request.sql, this.#text, this.#sent, error, undefined)
    if (failure !== undefined) this.#failure = toSqlError(failure)
  }

  #take(): Pull | undefined {
    if (this.#rows.length > 0) {
      const rows = this.#rows
      this.#rows = []
      if (!this.#ended) this.#lease?.connection.resume()
      return Effect.succeed(Chunk.unsafeFromArray(rows))
    }
    if (this.#undecodable !== undefined) return Effect.fail(Option.some(this.#undecodable))
    if (!this.#ended) return undefined
    return Effect.fail(this.#failure === undefined ? Option.none() : Option.some(this.#failure))
  }
}
