/**
 * What an HTTP server of Node is doing, and its end in order.
 *
 * `server.close()` of Node is not used: it also cuts connections whose response has been ended but not yet been read by a
 * slow client. So it is known here which connections have a response under way.
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import * as Net from "node:net"
import type { Duplex } from "node:stream"

/** How long WebSockets may take to answer the goodbye. Then they are cut. */
const GOODBYE = "1 second"

/** A close frame of a server with the status 1001, "going away" (RFC 6455). */
const GOING_AWAY = Uint8Array.of(0x88, 2, 1001 >> 8, 1001 & 0xff)

export interface EndOptions {
  readonly unready: Effect.Effect<void>
  readonly delay: Duration.Duration
  readonly deadline: Duration.Duration
  readonly grace: Duration.Duration
}

export class Drain {
  readonly #server: Server
  /** The connections, and how many responses are under way on each. */
  readonly #connections = new Map<Net.Socket, number>()
  readonly #responses = new Set<ServerResponse>()
  readonly #webSockets = new Set<Duplex>()
  readonly #watchers = new Set<() => void>()
  /** Handlers that have not ended, also those whose response has been sent or whose client is gone. */
  #handlers = 0
  #ending = false

  constructor(server: Server) {
    this.#server = server
    server.prependListener("connection", this.#onConnection)
    server.prependListener("request", this.#onRequest)
    server.prependListener("upgrade", this.#onUpgrade)
  }

  detach(): void {
    this.#server.off("connection", this.#onConnection)
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
      this.#stopListening()
      yield* this.#until(() => this.#responses.size === 0 && this.#handlers <= this.#webSockets.size, deadline)
      const cut = this.#responses.size
      for (const socket of this.#webSockets) sayGoodbye(socket)
      this.#server.closeAllConnections()
      yield* this.#until(() => this.#webSockets.size === 0, GOODBYE)
      for (const socket of this.#webSockets) socket.destroy()
      yield* this.#until(() => this.#handlers === 0, grace)
      if (cut === 0 && this.#handlers === 0) return
      yield* Effect.logWarning(
        `the HTTP server has stopped; ${cut} requests were cut at the deadline, ${this.#handlers} handlers still run`
      )
    })
  }

  readonly #onConnection = (socket: Net.Socket): void => {
    this.#know(socket)
  }

  /** One that was opened before the listeners were attached is known from its first request. */
  #know(socket: Net.Socket): number {
    const known = this.#connections.get(socket)
    if (known !== undefined) return known
    this.#connections.set(socket, 0)
    socket.once("close", () => this.#connections.delete(socket))
    return 0
  }

  readonly #onRequest = ({ socket }: IncomingMessage, response: ServerResponse): void => {
    this.#connections.set(socket, this.#know(socket) + 1)
    this.#responses.add(response)
    if (this.#ending) response.setHeader("connection", "close")
    response.once("close", () => {
      this.#responses.delete(response)
      const left = this.#connections.get(socket)
      if (left !== undefined) {
        this.#connections.set(socket, left - 1)
        if (this.#ending && left === 1) socket.destroySoon()
      }
      this.#changed()
    })
  }

  readonly #onUpgrade = (_request: IncomingMessage, socket: Duplex): void => {
    this.#connections.delete(socket as Net.Socket)
    this.#webSockets.add(socket)
    socket.once("close", () => {
      this.#webSockets.delete(socket)
      this.#changed()
    })
  }

  #stopListening(): void {
    this.#ending = true
    Net.Server.prototype.close.call(this.#server)
    for (const response of this.#responses) {
      if (!response.headersSent) response.setHeader("connection", "close")
    }
    for (const [socket, responses] of this.#connections) if (responses === 0) socket.destroySoon()
  }

  #changed(): void {
    for (const look of this.#watchers) look()
  }

  /** Waits until that is so, or the limit is reached. */
  #until(isSo: () => boolean, limit: Duration.DurationInput): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const look = (): void => {
        if (!isSo()) return
        this.#watchers.delete(look)
        resume(Effect.void)
      }
      this.#watchers.add(look)
      look()
      return Effect.sync(() => this.#watchers.delete(look))
    }).pipe(Effect.interruptible, Effect.timeoutOption(limit), Effect.asVoid)
  }
}

/** Nothing has been written where the handshake is still under way. */
const sayGoodbye = (socket: Duplex): void => {
  if (socket instanceof Net.Socket && socket.bytesWritten > 0) socket.write(GOING_AWAY)
  else socket.destroy()
}
