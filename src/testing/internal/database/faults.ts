/** A database that fails by a plan, as its server or the network would have it fail. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import type { AnyDatabaseTag } from "../../../db/Database.ts"
import type { View } from "../../../db/internal/client.ts"
import type { Done, Request, RowSink } from "../../../db/internal/connection/connection.ts"
import type { DataSource } from "../../../db/internal/dataSource.ts"
import type { Applicant, LentConnection } from "../../../db/internal/lease.ts"
import { inspect } from "../../../db/internal/statement/inspectSql.ts"
import type { ConfigurationProblem } from "../../../Errors.ts"
import { ConfigurationError } from "../../../Errors.ts"
import { isCount, unmet } from "../counts.ts"
import type { Fault, Statement } from "./faultModel.ts"
import { isFault } from "./faultModel.ts"
import * as TransactionText from "./transactionText.ts"
import * as Views from "./view.ts"

export const layer = <Tag extends AnyDatabaseTag>(
  database: Tag,
  plan: ReadonlyArray<Fault>
): Layer.Layer<Context.Tag.Identifier<Tag>, ConfigurationError, Context.Tag.Identifier<Tag>> =>
  Views.layer("faults", database, (dataSource) => {
    const problems = problemsOf(plan)
    return problems.length > 0
      ? Effect.fail(new ConfigurationError({ service: "Testing", reason: "InvalidSettings", problems }))
      : Effect.acquireRelease(
        Effect.sync(() => new FaultyView(dataSource, plan)),
        (view, exit) => Exit.isSuccess(exit) ? view.allHappened : Effect.void
      )
  })

/** What is wrong with a plan, all of it. */
const problemsOf = (plan: unknown): ReadonlyArray<ConfigurationProblem> => {
  if (!Array.isArray(plan) || plan.length === 0) {
    return [{ setting: "plan", detail: "must be a list of at least one fault", hint: "make them with Testing.Fault" }]
  }
  return plan.flatMap((fault: unknown, index) =>
    isFault(fault) ? problemsOfFault(fault, `plan[${index}]`) : [{
      setting: `plan[${index}]`,
      detail: "is not a fault",
      hint: "make it with a function of Testing.Fault"
    }]
  )
}

const problemsOfFault = ({ known, name, options }: Fault, place: string): ReadonlyArray<ConfigurationProblem> =>
  Object.entries(options).flatMap(([option, value]) => {
    const detail = !known.includes(option)
      ? `is not an option of ${name}: it has ${known.join(", ")}`
      : value === undefined
      ? undefined
      : rules[option]?.(value)
    return detail === undefined ? [] : [{ setting: `${place}.${option}`, detail }]
  })

const count = (value: unknown): string | undefined => isCount(value) ? undefined : "must be a whole number from 1"

/** What is wrong with the value of an option. */
const rules: Readonly<Record<string, (value: unknown) => string | undefined>> = {
  commit: count,
  connection: count,
  times: (value) => isCount(value) || value === Infinity ? undefined : "must be a whole number from 1, or Infinity",
  statement: (value) =>
    isCount(value) || (typeof value === "string" && value.trim() !== "") || value instanceof RegExp
      || typeof value === "function"
      ? undefined
      : "must be a number from 1, a part of the text, a regular expression or a function",
  constraint: (value) =>
    typeof value === "string" && /^[^'`]+$/.test(value) ? undefined : "must be the name of a key, without quotes",
  errno: (value) =>
    isCount(value) && (value as number) >= 1000 && (value as number) <= 65_535
      ? undefined
      : "must be a number of the server, from 1000 to 65535",
  sqlState: (value) =>
    typeof value === "string" && /^[0-9A-Z]{5}$/.test(value) ? undefined : "must have five digits or capital letters",
  message: (value) => typeof value === "string" ? undefined : "must be a text",
  committed: (value) => typeof value === "boolean" ? undefined : "must be true or false",
  carriedOut: (value) => typeof value === "boolean" ? undefined : "must be true or false"
}

/** One fault of the plan, and how often it has happened. */
interface Planned {
  readonly fault: Fault
  happened: number
}

class FaultyView implements View {
  readonly #dataSource: DataSource
  readonly #plan: ReadonlyArray<Planned>
  readonly #seen = { statement: 0, commit: 0, connection: 0 }

  constructor(dataSource: DataSource, plan: ReadonlyArray<Fault>) {
    this.#dataSource = dataSource
    this.#plan = plan.map((fault) => ({ fault, happened: 0 }))
  }

  lend(context: Context.Context<never>, applicant: Applicant): () => void {
    const number = ++this.#seen.connection
    const fault = this.#next((fault) => fault.at === "connection" && number >= (numberOf(fault, "connection") ?? 1))
    if (fault?.at === "connection") {
      applicant.onRefusal(fault.refusal(this.#dataSource))
      return () => {}
    }
    return Views.lendThrough(this.#dataSource, context, applicant, (below) => new FaultyConnection(below, this))
  }

  /** Sends a request, or lets the fault happen that is planned for it. */
  meet(
    connection: LentConnection,
    request: Request,
    inTransaction: boolean,
    send: () => void,
    carryOut: (done: () => void) => void,
    done: Done
  ): void {
    const fault = this.#faultFor(request.sql, inTransaction)
    if (fault === undefined || fault.at === "connection") return send()
    fault.strike({ dataSource: this.#dataSource, connection, request, carryOut, done })
  }

  /** A test in which something did not happen that it is about has shown nothing. */
  get allHappened(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const missing = this.#plan.flatMap(({ fault, happened }) =>
        unmet(fault.name, happened, numberOf(fault, "times") ?? 1)
      )
      if (missing.length === 0) return Effect.void
      const { commit, connection, statement } = this.#seen
      return Effect.die(
        new Error(
          `Testing.faults(${this.#dataSource.name}): ${missing.join(", ")}. Through this layer went`
            + ` ${statement} statements, ${commit} commits, and ${connection} loans of a connection`
        )
      )
    })
  }

  #faultFor(sql: string, inTransaction: boolean): Fault | undefined {
    const about = TransactionText.read(sql)
    if (about?.kind === "commit" && inTransaction) {
      const number = ++this.#seen.commit
      return this.#next((fault) => fault.at === "commit" && number >= (numberOf(fault, "commit") ?? 1))
    }
    if (about !== undefined) return undefined
    const statement = { sql, number: ++this.#seen.statement, reads: inspect(sql).reads, inTransaction }
    return this.#next((fault) =>
      fault.at === "statement" && !(fault.writesOnly === true && statement.reads)
      && matches(fault.options["statement"], statement)
    )
  }

  #next(meets: (fault: Fault) => boolean): Fault | undefined {
    const planned = this.#plan.find(({ fault, happened }) => happened < (numberOf(fault, "times") ?? 1) && meets(fault))
    if (planned !== undefined) planned.happened++
    return planned?.fault
  }
}

const numberOf = ({ options }: Fault, option: string): number | undefined => options[option] as number | undefined

const matches = (wanted: unknown, statement: Statement): boolean => {
  switch (typeof wanted) {
    case "undefined":
      return true
    case "number":
      return statement.number >= wanted
    case "string":
      return statement.sql.includes(wanted)
    case "function":
      return wanted(statement) === true
    default:
      return new RegExp(wanted as RegExp).test(statement.sql)
  }
}

class FaultyConnection extends Views.ConnectionView {
  readonly #view: FaultyView
  #inTransaction = false

  constructor(inner: LentConnection, view: FaultyView) {
    super(inner)
    this.#view = view
  }

  override run(request: Request, done: Done): void {
    const about = TransactionText.read(request.sql)?.kind
    const answered: Done = (error, result, columns) => {
      if (about === "begin" && error === null) this.#inTransaction = true
      if (about === "commit" || about === "rollback") this.#inTransaction = false
      done(error, result, columns)
    }
    this.#view.meet(
      this.inner,
      request,
      this.#inTransaction,
      () => this.inner.run(request, answered),
      (then) => this.inner.run(request, then),
      answered
    )
  }

  override stream(request: Request, sink: RowSink): void {
    const { inner } = this
    this.#view.meet(
      inner,
      request,
      this.#inTransaction,
      () => inner.stream(request, sink),
      (then) => inner.stream(request, { onRow: () => inner.resume(), onEnd: then }),
      (error) => sink.onEnd(error)
    )
  }
}
