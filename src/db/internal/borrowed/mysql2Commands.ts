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
import { executePacket, queryPacket } from "../connection/packets.ts"
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

/** A command with a result. */
interface Query extends Command {
  options: unknown
  _connection: unknown
  readonly _resultIndex: number
  readonly _rows: ReadonlyArray<unknown>
  readonly resultsetHeader: State
  start(packet: unknown, connection: any): State
  done(): State
}

interface Text extends Query {
  readonly sql: string
  readonly _queryOptions: unknown
}

interface Execute extends Query {
  statement: Prepared | undefined
  parameters: ReadonlyArray<unknown>
  readonly _executeOptions: unknown
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
    CommandClass<Text>
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
    if (!isUtf8(connection)) {
      this.parameters = values.map(typed)
      return super.start(packet, connection)
    }
    this._connection = connection
    this.options = this._executeOptions
    const attributes = takesAttributes(connection)
    connection.writePacket(new Packet(executePacket(statement.id, values, connection.config.timezone, attributes)))
    return this.resultsetHeader
  }
}

const isUtf8 = (connection: any): boolean => ENCODINGS[connection.config.charsetNumber] === "utf8"

/** CLIENT_QUERY_ATTRIBUTES: a statement may have parameters of another kind, and all have names. We give none of either. */
const QUERY_ATTRIBUTES = 1 << 27

const takesAttributes = (connection: any): boolean =>
  (connection.config.clientFlags & connection.serverCapabilityFlags & QUERY_ATTRIBUTES) !== 0

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

  /** Sends the text. The driver copies all its settings for each, to read rows by a few that are the connection's anyway. */
  override start(packet: unknown, connection: any): State {
    if (!isUtf8(connection)) return super.start(packet, connection)
    this._connection = connection
    this.options = this._queryOptions
    connection.writePacket(new Packet(queryPacket(this.sql, takesAttributes(connection))))
    return this.resultsetHeader
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
  /** The driver's packets count their header too, for which it sends an empty packet after some texts of 16 MiB. */
  length(): number {
    return this.buffer.length - 3
  }
  writeHeader(sequenceId: number): void {
    this.buffer.writeUIntLE(this.buffer.length - 4, 0, 3)
    this.buffer[3] = sequenceId
  }
}

const fail = (command: PreparedCommand, error: unknown): void => {
  if (command.onResult !== undefined) return process.nextTick(failNow, command, error)
  // A statement that is prepared already may fail before anybody listens.
  if (command.listenerCount("error") > 0) command.emit("error", error)
  else queueMicrotask(() => command.emit("error", error))
}

const failNow = ({ reply }: PreparedCommand, error: unknown): void => reply.end(error, undefined)

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

/** The driver keeps prepared statements by their text and by its option `nestTables`, which means nothing to us. */
interface StatementKey {
  readonly sql: string
  readonly nestTables: string | undefined
}

const keyOf = (sql: string, variant: Variant | undefined): StatementKey => ({ sql, nestTables: variant?.key })

const Statements = Mysql.Connection as unknown as { readonly statementKey: (key: StatementKey) => string }

/** Prepares the statement of a command. */
class PreparingCommand extends PrepareClass {
  readonly command: PreparedCommand
  readonly variant: Variant | undefined

  constructor(key: StatementKey, command: PreparedCommand, variant: Variant | undefined) {
    super(key, prepared)
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
  const key = keyOf(options.sql, variant)
  // Nothing else runs on the connection: what is prepared now still is when the command starts.
  const statement = connection._statements.get(Statements.statementKey(key))
  if (statement === undefined) connection.addCommand(new PreparingCommand(key, command, variant))
  else command.statement = statement as Prepared
  connection.addCommand(command)
  return command
}

/** Closes that prepared statement of a text. */
export const unprepare = (connection: DriverConnection, sql: string, variant: Variant | undefined): void => {
  connection.unprepare(keyOf(sql, variant))
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
