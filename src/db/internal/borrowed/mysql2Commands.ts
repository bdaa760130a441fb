/**
 * Borrowed from mysql2: the commands behind `execute` and `query`, as classes, which it does not export.
 *
 * - A prepared statement is sent in a packet of ours. The driver binds numbers as DOUBLE, which makes `big + 1` inexact,
 *   or as typed parameters, each of which costs as much as a short statement; and it sends whatever number of values it is
 *   given, of which the server reads the wrong ones.
 * - The text of an unprepared statement is sent as it is. The driver's own escaping is not safe in every `sql_mode`.
 * - The columns of a result are known before its rows are read, so that the driver reads what needs more care as plain bytes.
 *
 * The members used are those of the interface below. `addCommand` runs commands in the order in which they are added.
 */
import Mysql from "mysql2"
import { executePacket } from "../connection/executePacket.ts"
import type { Variant } from "../connection/preparedVariants.ts"
import type { Column, Decoding, Field } from "../values/columns.ts"
import { wrongCount } from "../values/placeholders.ts"
import type { DriverConnection } from "./mysql2Connection.ts"

/** How the columns of each result of a command must be converted. */
export type ResultColumns = ReadonlyArray<ReadonlyArray<Column> | undefined>

/** A command that runs. Without a receiver it emits `result`, `error` and `end`. */
export interface RunningCommand {
  readonly on: (event: "result" | "error" | "end", listener: (value: unknown, resultIndex: number) => void) => void
  readonly reply: { readonly columns: ResultColumns }
}

/** Who is told how a command ended. An INSERT and the like have a header as their result. */
export interface Receiver {
  readonly onReply: (error: unknown, result: unknown, columns: ResultColumns) => void
}

export interface CommandOptions {
  readonly sql: string
  readonly values: ReadonlyArray<unknown>
  readonly rowsAsArray: boolean
}

interface Prepared {
  readonly id: number
  /** The descriptions of the placeholders, which some proxies leave out. */
  readonly parameters: ReadonlyArray<{ readonly columnType: number }>
  /** Set by us: the number that the server gave with its answer. */
  count?: number
}

type State = ((packet: unknown, connection: any) => unknown) | null

/** A command calls its `onResult` as a method: one function serves all commands of a class. */
type OnResult<C extends Command> = (this: C, error: unknown, result?: any) => void

interface Command {
  on(event: string, listener: (...args: Array<any>) => void): void
  emit(event: string, ...values: ReadonlyArray<any>): boolean
  listenerCount(event: string): number
  readonly onResult: unknown
}

interface Prepare extends Command {
  readonly parameterCount: number
}

interface Query extends Command {
  readonly _resultIndex: number
  readonly _rows: ReadonlyArray<unknown>
  done(): State
}

interface Execute extends Query {
  statement: Prepared | undefined
  parameters: ReadonlyArray<unknown>
  options: unknown
  _connection: unknown
  readonly _executeOptions: unknown
  readonly resultsetHeader: State
  start(packet: unknown, connection: any): State
}

type CommandClass<C extends Command> = new(options: object, onResult: OnResult<any> | undefined) => C

const [PrepareClass, ExecuteClass, QueryClass] = (() => {
  const found: Array<Command> = []
  const pretended: any = {
    config: {},
    _resolveNamedPlaceholders: () => {},
    format: (sql: string) => sql,
    addCommand: (command: Command) => found.push(command)
  }
  const { execute, query }: { execute: Function; query: Function } = Mysql.Connection.prototype as never
  execute.call(pretended, "DO 0", [])
  query.call(pretended, "DO 0", [])
  return found.map((command) => command.constructor) as unknown as [
    CommandClass<Prepare>,
    CommandClass<Execute>,
    CommandClass<Query>
  ]
})()

/** Looked up once: the driver's getter takes as long as some ten packets. */
const ENCODINGS = Mysql.CharsetToEncoding

class PreparedCommand extends ExecuteClass implements Watched {
  readonly reply: Reply

  constructor(options: CommandOptions, reply: Reply) {
    super(options, reply.onResult)
    this.reply = reply
  }

  override emit(event: string, ...values: ReadonlyArray<any>): boolean {
    if (event === "fields") this.reply.begin(values[0])
    return super.emit(event, ...values)
  }

  override done(): State {
    return this.reply.endLater(this)
  }

  /** Sends the statement. `null` ends the command. */
  override start(packet: unknown, connection: any): State {
    const { parameters: values, statement } = this
    // It could not be prepared, and that has been reported.
    if (statement === undefined) return null
    const expected = statement.count ?? statement.parameters.length
    if (values.length !== expected) {
      fail(this, Object.assign(new Error(wrongCount(expected, values.length)), { code: "WRONG_PARAMETER_COUNT" }))
      return null
    }
    if (ENCODINGS[connection.config.charsetNumber] !== "utf8") {
      this.parameters = values.map(typed)
      return super.start(packet, connection)
    }
    this._connection = connection
    this.options = this._executeOptions
    const named = (connection.config.clientFlags & connection.serverCapabilityFlags & QUERY_ATTRIBUTES) !== 0
    connection.writePacket(new Packet(executePacket(statement.id, values, connection.config.timezone, named)))
    return this.resultsetHeader
  }
}

/** CLIENT_QUERY_ATTRIBUTES: each parameter has a name, which is empty. */
const QUERY_ATTRIBUTES = 1 << 27

class TextCommand extends QueryClass implements Watched {
  readonly reply: Reply

  constructor(options: CommandOptions, reply: Reply) {
    super(options, reply.onResult)
    this.reply = reply
  }

  override emit(event: string, ...values: ReadonlyArray<any>): boolean {
    if (event === "fields") this.reply.begin(values[0])
    return super.emit(event, ...values)
  }

  override done(): State {
    return this.reply.endLater(this)
  }
}

interface Watched extends Query {
  readonly reply: Reply
}

/**
 * The reply to a command. None of it is a closure: through those that each command had, the garbage of one kept that of the
 * next alive, which cost a fifth of the time of a statement.
 */
class Reply {
  readonly columns: Array<ReadonlyArray<Column> | undefined> = []
  readonly #decoding: Decoding
  readonly #binary: boolean
  readonly #rowsAsArray: boolean
  readonly #receiver: Receiver | undefined

  constructor(decoding: Decoding, binary: boolean, rowsAsArray: boolean, receiver: Receiver | undefined) {
    this.#decoding = decoding
    this.#binary = binary
    this.#rowsAsArray = rowsAsArray
    this.#receiver = receiver
  }

  /** What the command gets as its callback. Without one it emits what comes. */
  get onResult(): OnResult<Watched> | undefined {
    return this.#receiver === undefined ? undefined : onResult
  }

  /** The driver tells the fields of each result before it reads the rows; of a write there are none. */
  begin(fields: ReadonlyArray<Field> | undefined): void {
    this.columns.push(fields && this.#decoding.columns(fields, this.#binary, this.#rowsAsArray))
  }

  end(error: unknown, result: unknown): void {
    this.#receiver?.onReply(error, result, this.columns)
  }

  /** Like the driver, which answers after it has read the packet. `null` ends the command. */
  endLater(command: Watched): State {
    if (this.#receiver !== undefined) process.nextTick(endNow, command)
    return null
  }
}

function onResult(this: Watched, error: unknown, result?: unknown): void {
  this.reply.end(error, result)
}

const endNow = ({ _resultIndex, _rows, reply }: Watched): void => reply.end(null, _resultIndex === 0 ? _rows[0] : _rows)

/** What `writePacket` needs of a packet. */
class Packet {
  readonly buffer: Buffer
  constructor(buffer: Buffer) {
    this.buffer = buffer
  }
  length(): number {
    return this.buffer.length
  }
  writeHeader(sequenceId: number): void {
    this.buffer.writeUIntLE(this.buffer.length - 4, 0, 3)
    this.buffer[3] = sequenceId
  }
}

const fail = (command: PreparedCommand, error: unknown): void => {
  if (command.onResult !== undefined) return command.reply.end(error, undefined)
  // A statement that is prepared already may fail before anybody listens.
  if (command.listenerCount("error") > 0) command.emit("error", error)
  else queueMicrotask(() => command.emit("error", error))
}

/** Integers as the driver's typed parameters: slow, but in any character set. */
const typed = (value: unknown): unknown =>
  typeof value === "bigint" || (Number.isSafeInteger(value) && !Object.is(value, -0))
    ? integer(BigInt(value as number | bigint))
    : value

const integer = (value: bigint): unknown =>
  BigInt.asIntN(64, value) === value
    ? Mysql.TypedParameter.LONGLONG(value)
    : BigInt.asUintN(64, value) === value
    ? Mysql.TypedParameter.LONGLONG.unsigned(value)
    : Mysql.TypedParameter.NEWDECIMAL(String(value))

/** Prepares the statement of a command, if it is not prepared yet. */
class PreparingCommand extends PrepareClass {
  readonly command: PreparedCommand
  readonly variant: Variant | undefined

  /** The driver keeps prepared statements by their text and by its option `nestTables`, which means nothing to us. */
  constructor(sql: string, command: PreparedCommand, variant: Variant | undefined) {
    super({ sql, nestTables: variant?.key }, prepared)
    this.command = command
    this.variant = variant
  }
}

function prepared(this: PreparingCommand, error: unknown, statement: Prepared): void {
  const { command, parameterCount, variant } = this
  if (error) return fail(command, error)
  statement.count ??= parameterCount
  if (variant !== undefined) variant.parameters = statement.parameters
  command.statement = statement
}

/** Runs a statement that is prepared on the server, or already was. */
export const execute = (
  connection: DriverConnection,
  options: CommandOptions,
  decoding: Decoding,
  variant: Variant | undefined,
  receiver?: Receiver
): RunningCommand => {
  const command = new PreparedCommand(options, new Reply(decoding, true, options.rowsAsArray, receiver))
  connection.addCommand(new PreparingCommand(options.sql, command, variant))
  connection.addCommand(command)
  return command
}

/** Closes that prepared statement of a text. */
export const unprepare = (connection: DriverConnection, sql: string, variant: Variant | undefined): void => {
  connection.unprepare({ sql, nestTables: variant?.key })
}

/** Runs a text as it is; it must hold its values. */
export const query = (
  connection: DriverConnection,
  options: CommandOptions,
  decoding: Decoding,
  receiver?: Receiver
): RunningCommand => {
  const command = new TextCommand(options, new Reply(decoding, false, options.rowsAsArray, receiver))
  connection.addCommand(command)
  return command
}
