/** A TCP proxy in front of a real server, with the faults of networks. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

/** What happens to a new connection: everything is passed on; nothing is; one chunk (the greeting) is; it is reset. */
export type Welcome = "pass" | "silent" | "greetOnly" | "reset"

/**
 * What happens when a client sends bytes that contain a pattern. `swallow`: the server gets them, and its reply is
 * dropped. `lose`: the same, and the connection is reset. `reset`: the connection is reset before the server gets them.
 * Bytes: the server gets them, and these bytes are sent in the place of the first part of its reply.
 */
export type Trap = "swallow" | "lose" | "reset" | Uint8Array

/** An error packet as the first packet of a reply. */
export const errorPacket = (errno: number, sqlState: string, message: string): Uint8Array => {
  const payload = Buffer.concat([
    Buffer.from([0xff, errno & 0xff, errno >> 8]),
    Buffer.from(`#${sqlState}${message}`)
  ])
  return packet(1, payload)
}

/** Any payload as a packet, with its header: three bytes of length and the sequence number. */
export const packet = (sequence: number, payload: Uint8Array): Uint8Array =>
  Buffer.concat([
    Buffer.from([payload.length & 0xff, payload.length >> 8 & 0xff, payload.length >> 16, sequence]),
    payload
  ])

export interface FaultProxy {
  readonly host: string
  readonly port: number
  /** The URL with the address of the proxy. */
  readonly through: (url: string) => string
  readonly welcome: (how: Welcome) => Effect.Effect<void>
  /** The next `count` connections are reset, those after them are passed on. */
  readonly resetNext: (count: number) => Effect.Effect<void>
  /** Stops listening. Connections that are open stay. */
  readonly refuse: Effect.Effect<void>
  readonly accept: Effect.Effect<void>
  /** Ends all connections: by RST, or by FIN. */
  readonly reset: Effect.Effect<void>
  readonly finish: Effect.Effect<void>
  /** The connections that are open now stay open, and nothing passes in either direction. */
  readonly halfOpen: Effect.Effect<void>
  /** Delays every chunk by so many milliseconds, in both directions. */
  readonly delay: (millis: number) => Effect.Effect<void>
  /** Sets a trap, which works once. */
  readonly trap: (pattern: string, what: Trap) => Effect.Effect<void>
  readonly disarm: Effect.Effect<void>
  /** When connections were accepted, in milliseconds since the process started. */
  readonly accepted: Effect.Effect<ReadonlyArray<number>>
  /** Bytes passed on to clients since the start. */
  readonly delivered: Effect.Effect<number>
  /** Connections open now. */
  readonly open: Effect.Effect<number>
}

interface Link {
  readonly client: Socket
  readonly server: Socket | undefined
  muted: boolean
  greeted: boolean
  readonly greetOnly: boolean
  trapped: Exclude<Trap, "reset"> | undefined
}

export const make = (
  target: { readonly host: string; readonly port: number }
): Effect.Effect<FaultProxy, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(Effect.promise(() => start(target)), (proxy) => Effect.promise(() => proxy.stop())),
    ({ api }) => api
  )

const start = async (target: { readonly host: string; readonly port: number }) => {
  const links = new Set<Link>()
  const accepted: Array<number> = []
  const traps = new Map<string, Trap>()
  let welcome: Welcome = "pass"
  let resets = 0
  let delay = 0
  let delivered = 0

  const drop = (link: Link): void => {
    links.delete(link)
    link.client.resetAndDestroy()
    link.server?.destroy()
  }

  /** In order, later by the delay, and no faster than the receiver reads. */
  const pass = (from: Socket, to: Socket, chunk: Buffer): void => {
    const write = (): void => {
      if (to.destroyed || to.writableEnded || to.write(chunk)) return
      from.pause()
      to.once("drain", () => from.resume())
    }
    if (delay === 0) write()
    else setTimeout(write, delay)
  }

  const trapFor = (chunk: Buffer): Trap | undefined => {
    for (const [pattern, what] of traps) {
      if (chunk.includes(pattern)) {
        traps.delete(pattern)
        return what
      }
    }
    return undefined
  }

  const onClient = (client: Socket): void => {
    accepted.push(performance.now())
    client.on("error", () => {})
    if (welcome === "reset" || resets > 0) {
      resets = Math.max(0, resets - 1)
      client.resetAndDestroy()
      return
    }
    const server = welcome === "silent" ? undefined : connect(target.port, target.host).setNoDelay(true)
    client.setNoDelay(true)
    const link: Link = {
      client,
      server,
      muted: false,
      greeted: false,
      greetOnly: welcome === "greetOnly",
      trapped: undefined
    }
    links.add(link)
    client.on("data", (chunk: Buffer) => {
      if (link.muted || server === undefined) return
      const trap = trapFor(chunk)
      if (trap === "reset") return drop(link)
      if (trap !== undefined) link.trapped = trap
      pass(client, server, chunk)
    })
    client.on("end", () => {
      if (link.muted || server === undefined) client.end()
      else server.end()
    })
    client.on("close", () => {
      links.delete(link)
      server?.destroy()
    })
    server?.on("data", (chunk: Buffer) => {
      if (link.muted || link.trapped === "swallow" || (link.greetOnly && link.greeted)) return
      if (link.trapped === "lose") return drop(link)
      if (link.trapped !== undefined) {
        const reply = Buffer.from(link.trapped)
        link.trapped = undefined
        return pass(server, client, reply)
      }
      link.greeted = true
      delivered += chunk.length
      pass(server, client, chunk)
    })
    server?.on("end", () => client.end())
    server?.on("error", () => drop(link))
    server?.on("close", () => {
      if (!link.muted) client.destroySoon()
    })
  }

  let listener = createServer({ allowHalfOpen: true }, onClient)
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      listener = createServer({ allowHalfOpen: true }, onClient)
      listener.once("error", reject)
      listener.listen(port, "127.0.0.1", () => resolve())
    })
  await listen(0)
  const { port } = listener.address() as AddressInfo

  const each = (work: (link: Link) => void): Effect.Effect<void> =>
    Effect.sync(() => {
      for (const link of [...links]) work(link)
    })
  const api: FaultProxy = {
    host: "127.0.0.1",
    port,
    through: (url) => {
      const changed = new URL(url)
      changed.host = `127.0.0.1:${port}`
      return changed.href
    },
    welcome: (how) =>
      Effect.sync(() => {
        welcome = how
      }),
    resetNext: (count) =>
      Effect.sync(() => {
        resets = count
      }),
    refuse: Effect.sync(() => void listener.close()),
    accept: Effect.promise(() => listener.listening ? Promise.resolve() : listen(port)),
    reset: each(drop),
    finish: each(({ client }) => client.end()),
    halfOpen: each((link) => {
      link.muted = true
    }),
    delay: (millis) =>
      Effect.sync(() => {
        delay = millis
      }),
    trap: (pattern, what) => Effect.sync(() => void traps.set(pattern, what)),
    disarm: Effect.sync(() => traps.clear()),
    accepted: Effect.sync(() => [...accepted]),
    delivered: Effect.sync(() => delivered),
    open: Effect.sync(() => links.size)
  }
  const stop = async (): Promise<void> => {
    for (const link of [...links]) drop(link)
    if (!listener.listening) return
    await new Promise<void>((resolve) => listener.close(() => resolve()))
  }
  return { api, stop }
}
