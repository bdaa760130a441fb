/** One connection to a server. Answers come by callback, and deadlines are explicit. */
import { DatabaseError } from "../../../Errors.ts"
import * as Commands from "../borrowed/mysql2Commands.ts"
import type { DriverConnection } from "../borrowed/mysql2Connection.ts"
import { isGarbled, isWriteHeader } from "../borrowed/mysql2Connection.ts"
import { skipRows } from "../borrowed/rowParser.ts"
import { CANCEL, QUIT } from "../deadlines.ts"
import { isPermanent, isTooManyConnections } from "../errors/classify.ts"
import type { Dialled } from "../pool/model.ts"
import type { Settings } from "../settings/settings.ts"
import { type Column, Decoding } from "../values/columns.ts"
import { killQuery } from "./killQuery.ts"
import type { Login, LoginSource } from "./login.ts"
import { lateCredentials } from "./login.ts"
import { cut, open } from "./mysql2.ts"
import { PreparedVariants, type Variant } from "./preparedVariants.ts"

export interface Request {
  readonly sql: string
  /** The same with its values in it, where it is not prepared and has some. */
  readonly text?: string
  readonly values: ReadonlyArray<unknown>
  readonly rowsAsArray: boolean
  readonly prepared: boolean
  /** How BIGINT arrives; undefined: as its digits. */
  readonly bigint?: "auto" | undefined
}

/** `columns` tells how the rows of each result must be converted. */
export type Done = (error: unknown, result: unknown, columns?: Commands.ResultColumns) => void

/** The receiver of streamed rows. `onRow` may return false: no more rows until `resume`. */
export interface RowSink {
  readonly onRow: (row: any, columns: ReadonlyArray<Column> | undefined) => boolean
  readonly onEnd: (error: unknown) => void
}

export class Connection {
  readonly #driver: DriverConnection
  readonly #settings: Settings
  readonly #logins: LoginSource
  readonly #login: Login
  readonly #address: string | undefined
  readonly #decoding: Decoding
  readonly #autoDecoding: Decoding
  readonly #variants: PreparedVariants | undefined
  readonly threadId: number
  /** The socket is closed or about to be: nothing can be sent any more. */
  dead = false
  /** Called once when the connection dies while nothing runs on it. */
  onIdleDeath: (() => void) | undefined

  /** A packet came out of its order: what looks like an answer may belong to something else. */
  #outOfOrder = false
  #running: Done | undefined
  #afterReply: (() => void) | undefined
  #stopping: Array<(healthy: boolean) => void> | undefined

  private constructor(driver: DriverConnection, settings: Settings, logins: LoginSource, login: Login) {
    this.#driver = driver
    this.#settings = settings
    this.#logins = logins
    this.#login = login
    this.#decoding = new Decoding(settings)
    this.#autoDecoding = new Decoding({ ...settings, bigint: "auto" })
    this.#variants = driver._isMariaDB ? undefined : new PreparedVariants()
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
  static dial(settings: Settings, logins: LoginSource, done: (result: Dialled<Connection>) => void): () => void {
    let finished = false
    let driver: DriverConnection | undefined
    let giveUpLogin = (): void => {}
    const end = (): void => {
      finished = true
      clearTimeout(timer)
      if (driver === undefined) giveUpLogin()
      else cut(driver)
    }
    const fail = (cause: unknown): void => {
      if (finished) return
      end()
      done({
        _tag: "Failed",
        cause,
        kind: isPermanent(cause) ? "permanent" : isTooManyConnections(cause) ? "full" : "transient"
      })
    }
    const timer = setTimeout(
      () => fail(driver === undefined ? lateCredentials(settings) : connectTimeout(settings.connectTimeout)),
      settings.connectTimeout
    )
    const connect = (login: Login): void => {
      const opened = open(settings, login, undefined)
      driver = opened
      opened.on("error", fail)
      opened.once("end", () => setImmediate(() => fail(connectionLost())))
      opened.once("connect", () => {
        const connection = new Connection(opened, settings, logins, login)
        connection.#setUp((error) => {
          if (finished) return
          if (error !== null) return fail(error)
          finished = true
          clearTimeout(timer)
          done({ _tag: "Connected", connection })
        })
      })
    }
    giveUpLogin = logins((login) => {
      if (finished) return
      if (login instanceof DatabaseError) fail(login)
      else connect(login)
    })
    return () => {
      if (!finished) end()
    }
  }

  /** Runs one statement. Must not be called while another one runs. */
  run(request: Request, done: Done): void {
    const finish = this.#begin(done)
    if (finish === undefined) return
    try {
      this.#send(request, finish)
    } catch (error) {
      finish(error, undefined)
    }
  }

  #variant(sql: string, values: ReadonlyArray<unknown>): Variant | undefined {
    return this.#variants?.find(sql, values, (replaced) => Commands.unprepare(this.#driver, sql, replaced))
  }

  #send(request: Request, done?: Commands.CommandDone): Commands.RunningCommand {
    const { bigint, prepared, rowsAsArray, sql, text = sql, values } = request
    const decoding = bigint === undefined ? this.#decoding : this.#autoDecoding
    return prepared
      ? Commands.execute(this.#driver, { sql, values, rowsAsArray }, decoding, this.#variant(sql, values), done)
      : Commands.query(this.#driver, { sql: text, values: [], rowsAsArray }, decoding, done)
  }

  /** Runs one statement whose rows are handed out one by one. */
  stream(request: Request, sink: RowSink): void {
    const finish = this.#begin((error) => sink.onEnd(error))
    if (finish === undefined) return
    try {
      const command = this.#send(request)
      let failure: unknown = null
      command.on("result", (row, resultIndex) => {
        if (isWriteHeader(row)) return
        // The rows of a stopped statement are read to the end, so that the connection can be used again.
        if (this.#stopping !== undefined) {
          failure ??= interrupted()
          skipRows(command)
        } else if (!sink.onRow(row, command.columns[resultIndex])) {
          this.#driver.pause()
        }
      })
      command.on("error", (error) => {
        failure = error
        // A lost connection ends a command by its error alone: no "end" follows.
        setImmediate(() => finish(failure, undefined))
      })
      command.on("end", () => finish(failure, undefined))
    } catch (error) {
      finish(error, undefined)
    }
  }

  resume(): void {
    if (!this.dead) this.#driver.resume()
  }

  /**
   * Stops the running statement on the server: sends KILL QUERY from a side connection, then waits for both replies, so
   * that the connection can be used again and no late KILL can hit a later statement. The statement's own callback is
   * called as usual, before `done`. If the replies do not come in time, the connection is cut and `done(false)` called.
   */
  stop(done: (healthy: boolean) => void): void {
    // First of all: the reply may be there and a KILL still unanswered.
    if (this.#stopping !== undefined) {
      this.#stopping.push(done)
      return
    }
    if (this.#running === undefined || this.dead) return done(!this.dead)
    const stopping = [done]
    this.#stopping = stopping
    let replied = false
    const finish = (healthy: boolean): void => {
      if (this.#stopping !== stopping) return
      this.#stopping = undefined
      this.#afterReply = undefined
      clearTimeout(timer)
      if (!healthy) this.destroy()
      killer.end(healthy)
      for (const each of stopping) each(!this.dead)
    }
    const timer = setTimeout(() => finish(false), CANCEL)
    this.#afterReply = () => {
      replied = true
      // A KILL that was not sent yet is not needed any more; one that was sent must be waited for.
      if (!killer.pending()) finish(true)
    }
    const killer = killQuery(
      (onOpen, onFailure) => this.#openSide(onOpen, onFailure),
      this.threadId,
      () => replied,
      finish
    )
    this.resume()
  }

  /** Opens a connection for KILL. A user may end its own statements only, so the user must be the same. */
  #openSide(onOpen: (side: DriverConnection) => void, onFailure: () => void): () => void {
    return this.#logins((login) => {
      // The same address, not just the same name: on another server the thread id would be another session's.
      if (login instanceof DatabaseError || (this.#address === undefined && this.#settings.socket === undefined)) {
        setImmediate(onFailure)
      } else {
        onOpen(open(this.#settings, login.user === this.#login.user ? login : this.#login, this.#address))
      }
    })
  }

  ping(done: (alive: boolean) => void): void {
    this.#command((finish) => this.#driver.ping(finish), (error) => done(error === null))
  }

  /** Clears the state of the session (COM_RESET_CONNECTION), then sets the session up again. */
  reset(done: (clean: boolean) => void): void {
    this.#command((finish) => this.#driver.reset(finish), (error) => {
      if (error !== null) return done(false)
      // The reset keeps the default database, which a USE may have changed.
      this.#text(`USE \`${this.#settings.database.replaceAll("`", "``")}\``, (failure) => {
        if (failure !== null) return done(false)
        this.#setUp((failure) => done(failure === null))
      })
    })
  }

  /** Sends COM_QUIT. The socket is cut if the server does not close it soon. */
  close(): void {
    if (this.dead) return cut(this.#driver)
    this.dead = true
    this.#driver.end()
    const timer = setTimeout(() => cut(this.#driver), QUIT)
    this.#driver.stream.once("close", () => clearTimeout(timer))
  }

  destroy(): void {
    cut(this.#driver)
    this.#die(connectionLost())
  }

  #setUp(done: (error: unknown) => void): void {
    const { isolationLevel, timezone } = this.#settings
    this.#text(`SET SESSION autocommit = 1, time_zone = '${timezone}'`, (error) => {
      if (error !== null) return done(error)
      this.#text(`SET SESSION TRANSACTION ISOLATION LEVEL ${isolationLevel}`, done)
    })
  }

  #text(sql: string, done: (error: unknown) => void): void {
    this.run({ sql, values: [], rowsAsArray: false, prepared: false }, done)
  }

  #command(send: (finish: (error?: unknown) => void) => void, done: (error: unknown) => void): void {
    const finish = this.#begin(done)
    if (finish === undefined) return
    send((error) => finish(error ?? null, undefined))
  }

  /** Marks a command as running. Its end is reported once, by the first of: the server, the socket, ourselves. */
  #begin(done: Done): Done | undefined {
    if (this.dead) {
      done(connectionLost(), undefined)
      return undefined
    }
    const finish: Done = (error, result, columns) => {
      if (this.#running !== finish) return
      this.#running = undefined
      const afterReply = this.#afterReply
      this.#afterReply = undefined
      if (error === null && (this.#outOfOrder || isGarbled(result))) done(garbled(), undefined)
      else done(error, result, columns)
      afterReply?.()
    }
    this.#running = finish
    return finish
  }

  #die(error: unknown): void {
    if (this.dead && this.#running === undefined) return
    this.dead = true
    if (this.#running !== undefined) return this.#running(error, undefined)
    this.onIdleDeath?.()
  }
}

const connectionLost = (): Error =>
  Object.assign(new Error("The connection was closed"), { code: "PROTOCOL_CONNECTION_LOST" })

const garbled = (): Error =>
  Object.assign(new Error("The server's reply makes no sense"), { code: "PROTOCOL_MALFORMED_REPLY" })

const interrupted = (): Error =>
  Object.assign(new Error("Query execution was interrupted"), { errno: 1317, sqlState: "70100" })

const connectTimeout = (after: number): Error =>
  Object.assign(new Error(`The connection was not ready within ${after} ms`), { code: "CONNECT_TIMEOUT" })
