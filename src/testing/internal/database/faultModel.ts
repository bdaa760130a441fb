/** What a fault of a plan is: where it happens, and what it does in the place of the server. */
import type { Done, Request } from "../../../db/internal/connection/connection.ts"
import type { DataSource } from "../../../db/internal/dataSource.ts"
import type { LentConnection } from "../../../db/internal/lease.ts"
import type { DatabaseError } from "../../../Errors.ts"

/** A statement that a fault may meet. Statements that begin and end transactions and savepoints are none. */
export interface Statement {
  /** Its text, with placeholders. */
  readonly sql: string
  /** Which one it is of all that ran through the layer, from 1. */
  readonly number: number
  /** It asks for rows and changes nothing. */
  readonly reads: boolean
  readonly inTransaction: boolean
}

export interface FaultOptions {
  /** How often it happens. `Infinity`: always. Default 1. */
  readonly times?: number | undefined
}

export interface StatementFaultOptions extends FaultOptions {
  /**
   * Which statement it meets: the nth that runs through the layer, counted from 1, and with `times` those after it; one
   * with that text in it; one that the pattern or the function accepts. Default: the next one.
   */
  readonly statement?: number | string | RegExp | ((statement: Statement) => boolean) | undefined
}

export interface CommitFaultOptions extends FaultOptions {
  /** Which COMMIT it meets, counted from 1. Default: the next one. */
  readonly commit?: number | undefined
}

export interface ConnectionFaultOptions extends FaultOptions {
  /**
   * Which loan of a connection it meets, counted from 1: one for each transaction, and for each statement outside of one.
   * Default: the next one.
   */
  readonly connection?: number | undefined
}

/** What is there to answer with. */
export interface Scene {
  readonly dataSource: DataSource
  readonly connection: LentConnection
  readonly request: Request
  /** Sends the request. */
  readonly carryOut: (done: () => void) => void
  readonly done: Done
}

interface Common {
  /** What it is called in messages. */
  readonly name: string
  readonly options: Readonly<Record<string, unknown>>
  /** The options that it knows. */
  readonly known: ReadonlyArray<string>
}

/** One fault of a plan: made by the functions of `Testing.Fault`. */
export type Fault =
  | Common & {
    readonly at: "statement"
    readonly strike: (scene: Scene) => void
    readonly writesOnly?: boolean
  }
  | Common & { readonly at: "commit"; readonly strike: (scene: Scene) => void }
  | Common & { readonly at: "connection"; readonly refusal: (dataSource: DataSource) => DatabaseError }

/** A plan that was written without types may hold anything. */
const made = new WeakSet<object>()

export const isFault = (value: unknown): value is Fault =>
  typeof value === "object" && value !== null && made.has(value)

export const make = (fault: Fault): Fault => {
  made.add(fault)
  return fault
}
