/** The statements that a test ran. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { AnyDatabaseTag } from "../../../db/Database.ts"
import type { View } from "../../../db/internal/client.ts"
import type { Done, Request, RowSink } from "../../../db/internal/connection/connection.ts"
import type { DataSource } from "../../../db/internal/dataSource.ts"
import { classify } from "../../../db/internal/errors/classify.ts"
import type { Applicant, LentConnection } from "../../../db/internal/lease.ts"
import { inspect } from "../../../db/internal/statement/inspectSql.ts"
import { ConfigurationError, type DatabaseReason } from "../../../Errors.ts"
import * as TransactionText from "./transactionText.ts"
import * as Views from "./view.ts"

/** A statement that was sent, in the order of sending. */
export interface RecordedStatement {
  /** What it was: a statement of the program, or the begin or the end of a transaction or a savepoint. */
  readonly kind: "statement" | "begin" | "commit" | "rollback" | "savepoint" | "rollbackTo" | "release"
  /** Its text, with placeholders. */
  readonly sql: string
  /** Its first keyword, in capital letters: SELECT, INSERT … */
  readonly keyword: string
  /** Which transaction it ran in, from 1 in the order in which they began; undefined outside of one. */
  readonly transaction: number | undefined
  /** How it failed; undefined if it succeeded, or has not been answered. */
  readonly failed: DatabaseReason | undefined
  /** The values for the placeholders, only with `values: true`. */
  readonly values?: ReadonlyArray<unknown>
}

export interface RecordedOptions {
  /**
   * Keeps the values of the statements too. They may be personal data, and what a test prints is kept by the CI. Default
   * false.
   */
  readonly values?: boolean | undefined
}

/**
 * A database that keeps account of its statements, which {@link statements} gives. Above a sandbox it shows what the
 * program does; below, what the sandbox makes of it.
 */
export const recorded = <Tag extends AnyDatabaseTag>(
  database: Tag,
  { values = false }: RecordedOptions = {}
): Layer.Layer<Context.Tag.Identifier<Tag>, ConfigurationError, Context.Tag.Identifier<Tag>> =>
  Views.layer("recorded", database, (dataSource) => Effect.sync(() => new Recording(dataSource, values)))

/** The statements that a database has sent since its layer {@link recorded} was built. */
export const statements = <Tag extends AnyDatabaseTag>(
  database: Tag
): Effect.Effect<ReadonlyArray<RecordedStatement>, ConfigurationError, Context.Tag.Identifier<Tag>> =>
  Effect.flatMap(database, (client) => {
    const recording = Views.viewsOf(client).find((view) => view instanceof Recording)
    return recording === undefined
      ? Effect.fail(
        new ConfigurationError({
          service: "Testing",
          reason: "NotConfigured",
          problems: [{
            setting: `statements(${database.databaseName})`,
            detail: "finds no statements, because they are not recorded",
            hint: `provide Testing.recorded(${database.databaseName})`
          }]
        })
      )
      : Effect.sync(() => recording.statements.map((statement) => ({ ...statement })))
  })

class Recording implements View {
  readonly statements: Array<RecordedStatement> = []
  readonly #dataSource: DataSource
  readonly #values: boolean
  #transactions = 0

  constructor(dataSource: DataSource, values: boolean) {
    this.#dataSource = dataSource
    this.#values = values
  }

  lend(context: Context.Context<never>, applicant: Applicant): () => void {
    return Views.lendThrough(this.#dataSource, context, applicant, (below) => new RecordedConnection(below, this))
  }

  nextTransaction(): number {
    return ++this.#transactions
  }

  /** Notes a statement; the function returned notes its answer. Questions of our own are left out. */
  note(
    { sql, values }: Request,
    about: TransactionText.TransactionText | undefined,
    transaction: number | undefined
  ): (error: unknown) => void {
    if (about?.kind === "probe" || about?.kind === "options") return () => {}
    const index = this.statements.push({
      kind: about?.kind ?? "statement",
      sql,
      keyword: inspect(sql).keyword,
      transaction,
      failed: undefined,
      ...this.#values ? { values: [...values] } : {}
    }) - 1
    return (error) => {
      if (error !== null) this.statements[index] = { ...this.statements[index]!, failed: classify(error).reason }
    }
  }
}

class RecordedConnection extends Views.ConnectionView {
  readonly #recording: Recording
  #transaction: number | undefined

  constructor(inner: LentConnection, recording: Recording) {
    super(inner)
    this.#recording = recording
  }

  override run(request: Request, done: Done): void {
    const about = TransactionText.read(request.sql)
    if (about?.kind === "begin") this.#transaction = this.#recording.nextTransaction()
    const answered = this.#recording.note(request, about, this.#transaction)
    if (about?.kind === "commit" || about?.kind === "rollback") this.#transaction = undefined
    this.inner.run(request, (error, result, columns) => {
      answered(error)
      done(error, result, columns)
    })
  }

  override stream(request: Request, sink: RowSink): void {
    const answered = this.#recording.note(request, undefined, this.#transaction)
    this.inner.stream(request, {
      onRow: (row, columns) => sink.onRow(row, columns),
      onEnd: (error) => {
        answered(error)
        sink.onEnd(error)
      }
    })
  }
}
