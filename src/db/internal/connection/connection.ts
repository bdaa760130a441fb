/**
 * One connection to a server. Answers come by callback, and deadlines are explicit.
 *
 * One file because whatever runs on a connection, is stopped on it or ends it depends on the same few fields.
 */
import { DatabaseError } from "../../../Errors.ts"
import * as Commands from "../borrowed/mysql2Commands.ts"
import type { DriverConnection } from "../borrowed/mysql2Connection.ts"
import { isGarbled, isWriteHeader } from "../borrowed/mysql2Connection.ts"
import { skipRows } from "../borrowed/rowParser.ts"
import { CANCEL, QUIT } from "../deadlines.ts"
import { classify, isPermanent, isTooManyConnections } from "../errors/classify.ts"
import type { DialFailure, Dialled } from "../pool/model.ts"
import { isUtf8, type Settings } from "../settings/settings.ts"
import { type Column, Decoding } from "../values/columns.ts"
import { schedule } from "../waiting/schedule.ts"
import { connectionLost, connectTimeout, garbled, interrupted, tooLarge } from "./failures.ts"
import { logIn } from "./handshake.ts"
import { KillQuery, type Side } from "./killQuery.ts"
import type { Login, LoginSource } from "./login.ts"
import { lateCredentials } from "./login.ts"
import { cut } from "./mysql2.ts"
import { sizeNear } from "./packetSize.ts"
import { PreparedVariants, type Variant } from "./preparedVariants.ts"
import type { Session } from "./session.ts"
import * as Sessions from "./session.ts"

export interface Request {
  readonly sql: string
  /** The same with its values in it, where it is not prepared and has some. */
  readonly text?: string
  readonly values: ReadonlyArray<unknown>
  readonly rowsAsArray: boolean
  readonly prepared: boolean
  /** How BIGINT arrives, where it is not as the settings say. */
  readonly bigint?: "auto" | undefined
  /** The limit for statements of the settings does not count. */
  readonly unlimited?: boolean | undefined
}

/** `columns` tells how the rows of each result must be converted. */
export type Done = (error: unknown, result: unknown, columns?: Commands.ResultColumns) => void

/** The receiver of streamed rows. When many wait no more are read until `resume`. */
export interface RowSink {
  readonly onRow: (row: any, columns: ReadonlyArray<Column> | undefined) => void
  readonly onEnd: (error: unknown) => void
}

/** How the stop of a statement went. */
export interface Stopped {
  /** The connection can be used again. Otherwise it was cut. */
  readonly reusable: boolean
  /** The server has answered the statement, so its callback knows the outcome. Otherwise it may even go on there. */
  readonly answered: boolean
}

/** Lends an idle connection of the pool that `fits`, to be given back by `end`: not `healthy` if it did not answer. */
export type LendIdle = (fits: (connection: Connection) => boolean) =>
  | { readonly connection: Connection; readonly end: (healthy: boolean) => void }
  | undefined

/** What the connections of one database have in common. */
export interface Source {
  readonly settings: Settings
  readonly logins: LoginSource
  readonly lendIdle: LendIdle
}

/** For each statement that is kept prepared the driver and the server hold about this many bytes for each placeholder. */
const PLACEHOLDER = 256

/** A statement that would hold more bytes is closed after its execution. With all that the driver keeps: 4 MiB. */
const MAX_KEPT = 32_768

/** A stream is paused when this many rows, or bytes, have been read since its reader last took some. */
const MAX_ROWS_AHEAD = 512
const MAX_BYTES_AHEAD = 8 * 1024 * 1024

/** So many bytes of a stream that is being stopped are read before the KILL has been sent: it may end by itself. */
const MAX_BYTES_UNKILLED = 1024 * 1024

export class Connection {
  readonly #driver: DriverConnection
  readonly #source: Source
  readonly #settings: Settings
  readonly #login: Login
  readonly #address: string | undefined
  readonly #decoding: Decoding
  readonly #autoDecoding: Decoding
  readonly #variants: PreparedVariants | undefined
  /** When the dial began, and when the server had greeted it, by the clock of the process. */
  readonly #dialledAt: number
  readonly #openedAt = performance.now()
  readonly threadId: number
  /** The socket is closed or about to be: nothing can be sent any more. */
  dead = false
  /** Called once when the connection dies while nothing runs on it. */
  onIdleDeath: (() => void) | undefined

  #session: Session | undefined
  /** A packet came out of its order: what looks like an answer may belong to something else. */
  #outOfOrder = false
  #running: Running | undefined
  #afterReply: (() => void) | undefined
  #stopping: Array<(stopped: Stopped) => void> | undefined
  /** A KILL has been sent for the statement that is being stopped. */
  #killed = false
  /** Rows and bytes read since the reader of the stream last took some. */
  #rowsAhead = 0
  #bytesAhead = 0

  private constructor(driver: DriverConnection, source: Source, login: Login, dialledAt: number) {
    const { settings } = source
    this.#driver = driver
    this.#source = source
    this.#settings = settings
    this.#login = login
    this.#decoding = new Decoding(settings)
    this.#autoDecoding = new Decoding({ ...settings, bigint: "auto" })
    this.#variants = driver._isMariaDB ? undefined : new PreparedVariants()
    this.#dialledAt = dialledAt
    this.#address = driver.stream.remoteAddress
    this.threadId = driver.threadId
    driver.on("error", (error: unknown) => this.#die(error))
    // The driver's only warning, after which it would go on.
    driver.on("warn", () => {
      this.#outOfOrder = true
    })
    // A last error of the server may still be in the buffer; the command that it belongs to gets it first.
    driver.on("end", () => setImmediate(() => this.#die(connectionLost())))
    driver.stream.on("close", () => this.#die(connectionLost()))
  }

  /**
   * Gets the login, opens a connection and sets its session up, all within the connect timeout. The returned function
   * gives up.
   */
  static dial(source: Source, done: (result: Dialled<Connection>) => void): () => void {
    return Connection.#open(source, undefined, (login) => login, (connection, then) => connection.#setUp(then), done)
  }

  /** Opens a connection and prepares it. What the server refuses then it will refuse again: that failure is permanent. */
  static #open(
    source: Source,
    address: string | undefined,
    choose: (login: Login) => Login,
    prepare: (connection: Connection, done: (error: unknown) => void) => void,
    done: (result: Dialled<Connection>) => void
  ): () => void {
    const { settings } = source
    const began = performance.now()
    let finished = false
    let late = (): unknown => lateCredentials(settings)
    let giveUp = (): void => {}
    const fail = (cause: unknown, kind = kindOf(cause)): void => {
      if (finished) return
      finished = true
      cancel()
      giveUp()
      done({ _tag: "Failed", cause, kind })
    }
    const cancel = schedule(settings.connectTimeout, () => fail(late()))
    const connect = (login: Login): void => {
      late = () => connectTimeout(settings.connectTimeout)
      giveUp = logIn(settings, login, address, (driver) => {
        const connection = new Connection(driver, source, login, began)
        giveUp = () => connection.close()
        prepare(connection, (error) => {
          if (finished) return
          if (error !== null) return fail(error, classify(error).retryable ? kindOf(error) : "permanent")
          finished = true
          cancel()
          done({ _tag: "Connected", connection })
        })
      }, fail)
    }
    let hasLogin = false
    const giveUpLogin = source.logins((login) => {
      hasLogin = true
      if (finished) return
      if (login instanceof DatabaseError) fail(login)
      else connect(choose(login))
    })
    if (!hasLogin) giveUp = giveUpLogin
    return () => {
      if (finished) return
      finished = true
      cancel()
      giveUp()
    }
  }

  /** Runs one statement. Must not be called while another one runs. */
  run(request: Request, done: Done): void {
    const running = this.#begin(this.#closesAfter(request) ? this.#closing(request, done) : done)
    if (running === undefined) return
    try {
      const refusal = this.#tooLarge(request)
      if (refusal === undefined) this.#send(request, running)
      else running.fail(refusal)
    } catch (error) {
      running.fail(error)
    }
  }

  /**
   * Runs one statement whose rows are handed out one by one. Its reader calls `resume` when it has taken those that have
   * come.
   */
  stream(request: Request, sink: RowSink): void {
    const { stream } = this.#driver
    const count = (chunk: Buffer): void => {
      this.#bytesAhead += chunk.length
    }
    const ended: Done = (error) => {
      stream.off("data", count)
      sink.onEnd(error)
    }
    const running = this.#begin(this.#closesAfter(request) ? this.#closing(request, ended) : ended)
    if (running === undefined) return
    this.#rowsAhead = 0
    this.#bytesAhead = 0
    stream.prependListener("data", count)
    try {
      const refusal = this.#tooLarge(request)
      if (refusal !== undefined) return running.fail(refusal)
      const command = this.#send(request)
      let failure: unknown = null
      command.on("result", (row, resultIndex) => {
        if (isWriteHeader(row)) return
        // The rows of a stopped statement are read to the end, so that the connection can be used again.
        if (this.#stopping !== undefined) {
          failure ??= interrupted()
          skipRows(command)
          // The server sends on until the KILL arrives. Reading that would keep this process from sending the KILL.
          if (!this.#killed && this.#bytesAhead >= MAX_BYTES_UNKILLED) this.#driver.pause()
          return
        }
        this.#rowsAhead++
        sink.onRow(row, command.reply.columns[resultIndex])
        if (this.#rowsAhead >= MAX_ROWS_AHEAD || this.#bytesAhead >= MAX_BYTES_AHEAD) this.#driver.pause()
      })
      command.on("error", (error) => {
        failure = error
        // A lost connection ends a command by its error alone: no "end" follows.
        setImmediate(() => running.onReply(failure))
      })
      command.on("end", () => running.onReply(failure))
    } catch (error) {
      running.fail(error)
    }
  }

  /** Goes on reading the rows of a stream. */
  resume(): void {
    this.#rowsAhead = 0
    this.#bytesAhead = 0
    if (!this.dead) this.#driver.resume()
  }

  /**
   * Stops the running statement on the server: sends KILL QUERY over another connection to it, then waits for both
   * replies, so that the connection can be used again and no late KILL can hit a later statement. The statement's own
   * callback is called as usual, before `done`. If the replies do not come in time, the connection is cut.
   */
  stop(done: (stopped: Stopped) => void): void {
    // First of all: the reply may be there and a KILL still unanswered.
    if (this.#stopping !== undefined) {
      this.#stopping.push(done)
      return
    }
    if (this.#running === undefined || this.dead) return done({ reusable: !this.dead, answered: !this.dead })
    if (this.#session?.server === undefined) {
      // A KILL might end somebody else's statement.
      this.destroy()
      return done({ reusable: false, answered: false })
    }
    const stopping = [done]
    this.#stopping = stopping
    this.#killed = false
    let answered = false
    const finish = (reusable: boolean): void => {
      if (this.#stopping !== stopping) return
      this.#stopping = undefined
      this.#afterReply = undefined
      cancel()
      if (!reusable) this.destroy()
      kill.end(reusable)
      for (const each of stopping) each({ reusable: !this.dead, answered })
    }
    const cancel = schedule(CANCEL, () => finish(false))
    const kill = new KillQuery(
      this.threadId,
      { lend: () => this.#lendSide(), dial: (then) => this.#dialSide(then) },
      finish
    )
    this.#afterReply = () => {
      answered = !this.dead
      kill.statementEnded(answered)
    }
    kill.start()
    this.resume()
  }

  ping(done: (alive: boolean) => void): void {
    this.#command((finish) => this.#driver.ping(finish), (error) => done(error === null))
  }

  /** Clears the state of the session (COM_RESET_CONNECTION), then sets the session up again. */
  reset(done: (clean: boolean) => void): void {
    const session = this.#session!
    this.#command((finish) => this.#driver.reset(finish), (error) => {
      if (error !== null) return done(false)
      Sessions.restore(this.#settings, session, this.#text, (error) => {
        if (error !== null) return done(false)
        Sessions.setUp(this.#settings, session, this.#text, (error) => done(error === null))
      })
    })
  }

  /** Sends COM_QUIT. The socket is cut if the server does not close it soon. */
  close(): void {
    if (this.dead) return cut(this.#driver)
    this.dead = true
    this.#driver.end()
    this.#driver.stream.once("close", schedule(QUIT, () => cut(this.#driver)))
  }

  destroy(): void {
    cut(this.#driver)
    this.#die(connectionLost())
  }

  #setUp(done: (error: unknown) => void): void {
    this.#read((error) => {
      if (error !== null) return done(error)
      Sessions.setUp(this.#settings, this.#session!, this.#text, done)
    })
  }

  #read(done: (error: unknown) => void): void {
    Sessions.read(this.#settings, this.threadId, this.#text, (error, session) => {
      this.#session = session
      done(error)
    })
  }

  readonly #text: Sessions.Send = (sql, done) => {
    this.run({ sql, values: [], rowsAsArray: false, prepared: false }, done)
  }

  #send(request: Request, receiver?: Commands.Receiver): Commands.RunningCommand {
    const { bigint, prepared, rowsAsArray, sql, text = sql, values } = request
    const decoding = bigint === undefined ? this.#decoding : this.#autoDecoding
    return prepared
      ? Commands.execute(this.#driver, { sql, values, rowsAsArray }, decoding, this.#variant(sql, values), receiver)
      : Commands.query(this.#driver, { sql: text, values: [], rowsAsArray }, decoding, receiver)
  }

  #variant(sql: string, values: ReadonlyArray<unknown>): Variant | undefined {
    return this.#variants?.find(sql, values, (replaced) => Commands.unprepare(this.#driver, sql, replaced))
  }

  /** An idle connection of the pool, for a KILL. */
  #lendSide(): Side | undefined {
    const lent = this.#source.lendIdle((other) => other.#reaches(this))
    return lent === undefined ? undefined : this.#side(lent.connection, lent.end)
  }

  #side(connection: Connection, end: Side["end"]): Side {
    return {
      send: (sql, done) => {
        connection.#text(sql, done)
        this.#killed = true
        // After the rows that are left the statement has ended.
        if (this.#stopping !== undefined) this.resume()
      },
      end
    }
  }

  /**
   * A new connection, for a KILL. The same address, not just the same name, is where the same server is most likely. A
   * user may end its own statements only, so the user must be the same.
   */
  #dialSide(done: (side: Side | undefined) => void): () => void {
    if (this.#address === undefined && this.#settings.socket === undefined) {
      const never = setImmediate(() => done(undefined))
      return () => clearImmediate(never)
    }
    const choose = (login: Login): Login => login.user === this.#login.user ? login : this.#login
    const read = (connection: Connection, then: (error: unknown) => void): void => connection.#read(then)
    // The time that the stop has is what counts, even where dials for borrowers have less.
    const settings = { ...this.#settings, connectTimeout: Math.max(this.#settings.connectTimeout, CANCEL) }
    const source = { ...this.#source, settings, lendIdle: () => undefined }
    return Connection.#open(source, this.#address, choose, read, (result) => {
      if (result._tag === "Failed") return done(undefined)
      const { connection } = result
      if (connection.#reaches(this)) {
        return done(this.#side(connection, (healthy) => healthy ? connection.close() : connection.destroy()))
      }
      connection.close()
      done(undefined)
    })
  }

  /**
   * Whether a KILL over this connection reaches the session of that one: on another server its thread id would be
   * somebody else's. Behind one address there may be several servers. And a server that was restarted, while the other
   * connection does not know it yet, numbers its threads from the start.
   */
  #reaches(other: Connection): boolean {
    const server = this.#session?.server
    return server !== undefined && server === other.#session?.server && this.#address === other.#address
      && this.#login.user === other.#login.user
      && (this.#dialledAt < other.#openedAt || this.threadId > other.threadId)
  }

  /** What a statement needs more room than the server has for one packet fails with, before anything is sent. */
  #tooLarge(request: Request): Error | undefined {
    const limit = this.#session?.maxPacket ?? Infinity
    const size = sizeNear(limit, request, isUtf8(this.#settings.charset))
    return size === undefined || size < limit ? undefined : tooLarge(size, limit)
  }

  /** Whether too much memory would be held, here and on the server, if the statement was kept prepared. */
  #closesAfter({ prepared, sql, values }: Request): boolean {
    return prepared && sql.length + PLACEHOLDER * values.length > MAX_KEPT
  }

  #closing({ sql, values }: Request, done: Done): Done {
    return (error, result, columns) => {
      // The server sends no answer.
      if (!this.dead) Commands.unprepare(this.#driver, sql, this.#variant(sql, values))
      done(error, result, columns)
    }
  }

  #command(send: (finish: (error?: unknown) => void) => void, done: (error: unknown) => void): void {
    const running = this.#begin(done)
    if (running !== undefined) send((error) => running.onReply(error ?? null))
  }

  /** Marks a command as running. */
  #begin(done: Done): Running | undefined {
    if (!this.dead) return this.#running = new Running(this, done)
    done(connectionLost(), undefined)
    return undefined
  }

  /** The end of a command. It counts once, from the first of: the server, the socket, ourselves. */
  ended(running: Running, error: unknown, result: unknown, columns: Commands.ResultColumns | undefined): void {
    if (this.#running !== running) return
    this.#running = undefined
    const afterReply = this.#afterReply
    this.#afterReply = undefined
    if (error === null && (this.#outOfOrder || isGarbled(result))) running.done(garbled(), undefined)
    else running.done(error, result, columns)
    afterReply?.()
  }

  #die(error: unknown): void {
    if (this.dead && this.#running === undefined) return
    this.dead = true
    if (this.#running !== undefined) return this.#running.onReply(error)
    this.onIdleDeath?.()
  }
}

/** A command that runs on a connection. */
class Running implements Commands.Receiver {
  readonly #connection: Connection
  readonly done: Done

  constructor(connection: Connection, done: Done) {
    this.#connection = connection
    this.done = done
  }

  onReply(error: unknown, result?: unknown, columns?: Commands.ResultColumns): void {
    this.#connection.ended(this, error, result, columns)
  }

  /**
   * Ends it, although nothing was sent. Not at once: the next one that waits for the connection may fail in the same way, and
   * thousands of them would be thousands of calls deep.
   */
  fail(error: unknown): void {
    process.nextTick(replyWith, this, error)
  }
}

const replyWith = (running: Running, error: unknown): void => running.onReply(error)

const kindOf = (cause: unknown): DialFailure =>
  isPermanent(cause) ? "permanent" : isTooManyConnections(cause) ? "full" : "transient"
