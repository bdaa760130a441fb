/** One connection to a server. Everything here is callbacks; deadlines are explicit. */
import type * as Mysql from "mysql2"
import type { Raw } from "./mysql2.ts"
import { cut, open } from "./mysql2.ts"
import { isPermanent, isTooManyConnections } from "../errors/classify.ts"
import { kill } from "./killQuery.ts"
import type { Dialled } from "../pool/model.ts"
import type { Settings } from "../settings/settings.ts"

/** How long an interrupted statement may take to stop (side connection, KILL QUERY and both replies) before its connection is cut. */
const CANCEL_DEADLINE = 1_000

export interface Request {
  readonly sql: string
  readonly values: ReadonlyArray<unknown>
  readonly rowsAsArray: boolean
  readonly prepared: boolean
}

/** A result that is no rows: what the server says of a statement that changed something. */
export interface Ok {
  readonly affectedRows: number
  readonly insertId: number | string
  readonly serverStatus: number
}

export type Done = (error: unknown, result: unknown) => void

/** What a streamed statement tells its reader. `onRow` may answer with false: no more rows until `resume`. */
export interface RowSink {
  readonly onRow: (row: unknown) => boolean
  readonly onEnd: (error: unknown) => void
}

/** SERVER_STATUS_IN_TRANS of the protocol's status flags. */
const IN_TRANSACTION = 1

/** Whether the server says, with this result, that a transaction is open; undefined where the driver does not tell (rows). */
export const inTransaction = (result: unknown): boolean | undefined => {
  const last = Array.isArray(result) ? result[result.length - 1] : result
  return isOk(last) ? (last.serverStatus & IN_TRANSACTION) !== 0 : undefined
}

/** A row is a plain object, whatever its columns are called; the driver's result header has a class of its own. */
export const isOk = (result: unknown): result is Ok =>
  typeof result === "object" && result !== null && !Array.isArray(result) && "serverStatus" in result
  && Object.getPrototypeOf(result) !== Object.prototype

type RawCommand = {
  /** What the driver makes rows with. */
  _rowParser: { readonly next: () => unknown }
  readonly on: (event: "result" | "error" | "end", listener: (value: unknown) => void) => void
}

export class Connection {
  readonly #raw: Raw
  readonly #settings: Settings
  readonly #address: string | undefined
  readonly threadId: number
  /** The socket is gone or about to be: nothing can be sent any more. */
  dead = false
  /** Called once when the connection dies while nobody runs anything on it. */
  onIdleDeath: (() => void) | undefined

  #running: Done | undefined
  #afterReply: (() => void) | undefined
  #stopping: Array<(healthy: boolean) => void> | undefined

  private constructor(raw: Raw, settings: Settings) {
    this.#raw = raw
    this.#settings = settings
    this.#address = raw.stream.remoteAddress
    this.threadId = raw.threadId
    raw.on("error", (error: unknown) => this.#die(error))
    // The server's last words may still be in the buffer; the command they belong to gets them first.
    raw.on("end", () => setImmediate(() => this.#die(connectionLost())))
    raw.stream.on("close", () => this.#die(connectionLost()))
  }

  /** Opens a connection and sets the session up, all of it within the connect timeout. Returns a function that gives up. */
  static dial(settings: Settings, done: (result: Dialled<Connection>) => void): () => void {
    let finished = false
    const raw = open(settings, undefined)
    const fail = (cause: unknown): void => {
      if (finished) return
      finished = true
      clearTimeout(timer)
      cut(raw)
      done({
        _tag: "Failed",
        cause,
        kind: isPermanent(cause) ? "permanent" : isTooManyConnections(cause) ? "full" : "transient"
      })
    }
    const timer = setTimeout(() => fail(connectTimeout(settings.connectTimeout)), settings.connectTimeout)
    raw.on("error", fail)
    raw.once("end", () => setImmediate(() => fail(connectionLost())))
    raw.once("connect", () => {
      const connection = new Connection(raw, settings)
      connection.#setUp((error) => {
        if (finished) return
        if (error !== null) return fail(error)
        finished = true
        clearTimeout(timer)
        done({ _tag: "Connected", connection })
      })
    })
    return () => {
      if (finished) return
      finished = true
      clearTimeout(timer)
      cut(raw)
    }
  }

  /** Runs one statement; one at a time. */
  run(request: Request, done: Done): void {
    const finish = this.#begin(done)
    if (finish === undefined) return
    const { prepared, rowsAsArray, sql } = request
    const values = request.values as Array<any>
    try {
      if (rowsAsArray) {
        const options: Mysql.QueryOptions = { sql, values, rowsAsArray }
        if (prepared) this.#raw.execute(options, finish)
        else this.#raw.query(options, finish)
      } else {
        // The driver copies options twice; without any it is quicker.
        if (prepared) this.#raw.execute(sql, values, finish)
        else this.#raw.query(sql, values, finish)
      }
    } catch (error) {
      finish(error, undefined)
    }
  }

  /** Runs one statement whose rows are handed out one by one. */
  stream(request: Request, sink: RowSink): void {
    const finish = this.#begin((error) => sink.onEnd(error))
    if (finish === undefined) return
    try {
      const options = { sql: request.sql, values: request.values } as Mysql.QueryOptions
      const command =
        (request.prepared ? this.#raw.execute(options) : this.#raw.query(options)) as unknown as RawCommand
      let failure: unknown = null
      command.on("result", (row) => {
        if (isOk(row)) return
        // The rows of a stopped statement are read to the last, so that the connection can be used again.
        if (this.#stopping !== undefined) {
          failure ??= interrupted()
          command._rowParser = SKIP_ROWS
        } else if (!sink.onRow(row)) {
          this.#raw.pause()
        }
      })
      command.on("error", (error) => {
        failure = error
        // A lost connection ends a command by its error alone.
        setImmediate(() => finish(failure, undefined))
      })
      command.on("end", () => finish(failure, undefined))
    } catch (error) {
      finish(error, undefined)
    }
  }

  resume(): void {
    if (!this.dead) this.#raw.resume()
  }

  /**
   * Stops the running statement on the server: KILL QUERY from a side connection, then waits for both replies, so that
   * the connection can be used again and no late KILL can hit a later statement. The statement's own callback is called
   * as usual, before `done`. If it takes too long, the connection is cut and `done(false)` says that it is of no use.
   */
  stop(done: (healthy: boolean) => void): void {
    if (this.#running === undefined || this.dead) return done(!this.dead)
    if (this.#stopping !== undefined) {
      this.#stopping.push(done)
      return
    }
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
    const timer = setTimeout(() => finish(false), CANCEL_DEADLINE)
    this.#afterReply = () => {
      replied = true
      // A KILL that was not sent yet is not needed any more; one that was sent has to be waited for.
      if (!killer.pending()) finish(true)
    }
    // The same server, not just the same name: behind a name with many addresses the thread id would mean another session.
    const killer = kill(open(this.#settings, this.#address), this.threadId, () => replied, finish)
    this.resume()
  }

  ping(done: (alive: boolean) => void): void {
    this.#command((finish) => this.#raw.ping(finish), (error) => done(error === null))
  }

  /** Forgets everything of the session (COM_RESET_CONNECTION) and sets it up anew. */
  reset(done: (clean: boolean) => void): void {
    this.#command((finish) => this.#raw.reset(finish), (error) => {
      if (error !== null) return done(false)
      // The server keeps the default database that a USE has left.
      this.#text(`USE \`${this.#settings.database.replaceAll("`", "``")}\``, (failure) => {
        if (failure !== null) return done(false)
        this.#setUp((failure) => done(failure === null))
      })
    })
  }

  /** Says goodbye. The socket is cut if the server does not close it soon. */
  close(): void {
    if (this.dead) return cut(this.#raw)
    this.dead = true
    this.#raw.end()
    const timer = setTimeout(() => cut(this.#raw), CANCEL_DEADLINE)
    this.#raw.stream.once("close", () => clearTimeout(timer))
  }

  destroy(): void {
    cut(this.#raw)
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

  /** Marks a command as running; its end is reported once, whoever reports it first: the server, the socket or we. */
  #begin(done: Done): Done | undefined {
    if (this.dead) {
      done(connectionLost(), undefined)
      return undefined
    }
    const finish: Done = (error, result) => {
      if (this.#running !== finish) return
      this.#running = undefined
      const afterReply = this.#afterReply
      this.#afterReply = undefined
      done(error, result)
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

/** Megabytes of rows that nobody wants may be under way: they are passed over, which is quicker than reading them. */
const SKIP_ROWS = { next: () => undefined }

const connectionLost = (): Error =>
  Object.assign(new Error("The connection was closed"), { code: "PROTOCOL_CONNECTION_LOST" })

const interrupted = (): Error =>
  Object.assign(new Error("Query execution was interrupted"), { errno: 1317, sqlState: "70100" })

const connectTimeout = (after: number): Error =>
  Object.assign(new Error(`The server did not let us in within ${after} ms`), { code: "CONNECT_TIMEOUT" })
