/**
 * What an HTTP server of Node is doing, and its end in order.
 *
 * `server.close()` of Node is not used: it also cuts connections whose response has been ended but not yet been read by a
 * slow client. So it is known here which connections have a response under way. Nor is it enough to close what is idle: a
 * connection that was only just opened, or waits to be accepted, may have a request on its way, which a client cannot
 * safely send again.
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import * as Net from "node:net"
import type { Duplex } from "node:stream"
import * as Tls from "node:tls"
import { eventLoopTurn } from "../eventLoopTurn.ts"

/** How long WebSockets may take to answer the goodbye. Then they are cut. */
const GOODBYE = "1 second"

/** How long a connection that was opened before may take to send its first request, once nobody else may connect. */
const FIRST_REQUEST = "1 second"

/** A close frame of a server with the status 1001, "going away" (RFC 6455). */
const GOING_AWAY = Uint8Array.of(0x88, 2, 1001 >> 8, 1001 & 0xff)

/** How the answer begins that makes a WebSocket of a connection. */
const SWITCHING = "HTTP/1.1 101 "

/** See `DrainOptions`. */
export interface Limits {
  readonly delay: Duration.Duration
  readonly deadline: Duration.Duration
  readonly grace: Duration.Duration
}

export interface EndOptions extends Limits {
  readonly unready: Effect.Effect<void>
}

/** What is under way on a connection. */
interface Connection {
  readonly responses: Set<ServerResponse>
  /** It has not had a request yet: the first may be on its way. */
  fresh: boolean
  /** It has asked to become something else, and has neither become it nor been answered to the end. */
  upgrading: boolean
}

export class Drain {
  readonly #server: Server
  /** A server of HTTPS emits `connection` for what is below TLS. */
  readonly #event: "connection" | "secureConnection"
  readonly #connections = new Map<Net.Socket, Connection>()
  readonly #webSockets = new Set<Net.Socket>()
  readonly #watchers = new Set<() => void>()
  /** Handlers that have not ended, also those whose response has been sent or whose client is gone. */
  #handlers = 0
  /** Connections since the start. */
  #opened = 0
  #ending = false

  constructor(server: Server) {
    this.#server = server
    this.#event = server instanceof Tls.Server ? "secureConnection" : "connection"
    server.prependListener(this.#event, this.#onConnection)
    server.prependListener("request", this.#onRequest)
    server.prependListener("upgrade", this.#onUpgrade)
  }

  detach(): void {
    this.#server.off(this.#event, this.#onConnection)
    this.#server.off("request", this.#onRequest)
    this.#server.off("upgrade", this.#onUpgrade)
  }

  /** Counts an app's handlers. */
  counted<E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> {
    return Effect.suspend(() => {
      this.#handlers++
      return Effect.ensuring(
        app,
        Effect.sync(() => {
          this.#handlers--
          this.#changed()
        })
      )
    })
  }

  end({ deadline, delay, grace, unready }: EndOptions): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      yield* unready
      yield* Effect.sleep(delay)
      yield* within(deadline, this.#finish())
      this.#stopListening()
      const cut = this.#underWay()
      for (const socket of this.#webSockets) socket.write(GOING_AWAY)
      this.#server.closeAllConnections()
      // Node does not know those any more.
      for (const [socket, { upgrading }] of this.#connections) if (upgrading) socket.destroy()
      yield* within(GOODBYE, this.#until(() => this.#webSockets.size === 0))
      for (const socket of this.#webSockets) socket.destroy()
      yield* within(grace, this.#until(() => this.#handlers === 0))
      if (cut === 0 && this.#handlers === 0) return
      yield* Effect.logWarning(
        `the HTTP server has stopped; ${cut} requests were cut at the deadline, ${this.#handlers} handlers still run`
      )
    })
  }

  readonly #onConnection = (socket: Net.Socket): void => {
    this.#opened++
    this.#know(socket)
  }

  /** One that was opened before the listeners were attached is known from its first request. */
  #know(socket: Net.Socket): Connection {
    const known = this.#connections.get(socket)
    if (known !== undefined) return known
    const connection: Connection = { responses: new Set(), fresh: true, upgrading: false }
    this.#connections.set(socket, connection)
    socket.once("close", () => {
      // Of pipelined requests, those that were not yet answered have no end of their own.
      this.#connections.delete(socket)
      this.#webSockets.delete(socket)
      this.#changed()
    })
    return connection
  }

  readonly #onRequest = ({ socket }: IncomingMessage, response: ServerResponse): void => {
    const connection = this.#know(socket)
    connection.fresh = false
    connection.responses.add(response)
    if (this.#ending) markLast(connection)
    response.once("close", () => {
      connection.responses.delete(response)
      if (this.#ending && connection.responses.size === 0) socket.destroySoon()
      this.#changed()
    })
  }

  /**
   * A handler may also answer as if there were no such header: some clients offer `h2c` with every request. Which of both it
   * does, its first bytes tell.
   */
  readonly #onUpgrade = (_request: IncomingMessage, duplex: Duplex): void => {
    const socket = duplex as Net.Socket
    const connection = this.#know(socket)
    connection.fresh = false
    connection.upgrading = true
    // Before it is a WebSocket nobody listens, and a client that resets it would end the process.
    socket.on("error", () => {})
    const { write } = socket
    socket.write = ((...args: Parameters<typeof write>) => {
      socket.write = write
      if (String(args[0]).startsWith(SWITCHING)) {
        this.#connections.delete(socket)
        this.#webSockets.add(socket)
        this.#changed()
      }
      return write.apply(socket, args)
    }) as typeof write
    // Such an answer is the last one of its connection.
    socket.once("finish", () => {
      connection.upgrading = false
      if (this.#ending && this.#connections.has(socket)) socket.destroySoon()
      this.#changed()
    })
  }

  #underWay(): number {
    let sum = 0
    for (const { responses, upgrading } of this.#connections.values()) sum += responses.size + Number(upgrading)
    return sum
  }

  #busy(): boolean {
    return [...this.#connections.values()].some((connection) => connection.fresh || isBusy(connection))
  }

  #finish(): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      yield* this.#accepted()
      this.#stopListening()
      yield* eventLoopTurn
      this.#closeIdle()
      const closeFresh = Effect.delay(Effect.sync(() => this.#closeFresh()), FIRST_REQUEST)
      yield* Effect.raceFirst(
        this.#until(() => !this.#busy() && this.#handlers <= this.#webSockets.size),
        Effect.zipRight(closeFresh, Effect.never)
      )
    })
  }

  /** Waits until no connection waits to be accepted: it would be reset. Node accepts one in a turn of the event loop. */
  #accepted(): Effect.Effect<void> {
    const before = this.#opened
    return Effect.flatMap(eventLoopTurn, () => before === this.#opened ? Effect.void : this.#accepted())
  }

  #stopListening(): void {
    if (this.#ending) return
    this.#ending = true
    Net.Server.prototype.close.call(this.#server)
    for (const connection of this.#connections.values()) markLast(connection)
  }

  #closeIdle(): void {
    for (const [socket, connection] of this.#connections) {
      if (!connection.fresh && !isBusy(connection)) socket.destroySoon()
    }
  }

  #closeFresh(): void {
    for (const [socket, { fresh }] of this.#connections) if (fresh) socket.destroySoon()
  }

  #changed(): void {
    for (const look of this.#watchers) look()
  }

  #until(isSo: () => boolean): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const look = (): void => {
        if (!isSo()) return
        this.#watchers.delete(look)
        resume(Effect.void)
      }
      this.#watchers.add(look)
      look()
      return Effect.sync(() => this.#watchers.delete(look))
    })
  }
}

const within = (limit: Duration.DurationInput, effect: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.asVoid(Effect.timeoutOption(Effect.interruptible(effect), limit))

const isBusy = ({ responses, upgrading }: Connection): boolean => upgrading || responses.size > 0

/** After the response that says so nothing is sent: only that to the latest request may. */
const markLast = ({ responses }: Connection): void => {
  const all = [...responses]
  for (const response of all) {
    if (!response.headersSent) response.setHeader("connection", response === all.at(-1) ? "close" : "keep-alive")
  }
}
