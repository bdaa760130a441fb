/** What may stand between a client and servers: several servers behind one address, sessions numbered anew. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

interface Address {
  readonly host: string
  readonly port: number
}

export interface SwitchingProxy {
  /** The URL with the address of the proxy. */
  readonly through: (url: string) => string
  /** Where connections go from now on. */
  readonly to: (server: Address) => Effect.Effect<void>
  /** From now on the greeting tells a thread id that is higher by so many than the server's. */
  readonly renumber: (by: number) => Effect.Effect<void>
}

export const make = (first: Address): Effect.Effect<SwitchingProxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    let target = first
    let shift = 0
    const open = new Set<Socket>()
    const proxy = createServer((client) => {
      const server = connect(target.port, target.host)
      const by = shift
      let greeted = false
      server.on("data", (chunk: Buffer) => {
        if (!greeted && by > 0) {
          // Header, protocol version, the server's version up to its NUL, and the thread id.
          const at = chunk.indexOf(0, 5) + 1
          chunk.writeUInt32LE(chunk.readUInt32LE(at) + by, at)
        }
        greeted = true
        client.write(chunk)
      })
      client.on("data", (chunk) => server.write(chunk))
      for (const [one, other] of [[client, server], [server, client]] as const) {
        open.add(one)
        one.on("error", () => {})
        one.on("end", () => other.end())
        one.on("close", () => {
          open.delete(one)
          other.destroy()
        })
      }
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void proxy.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.async<void>((resume) => {
          proxy.close(() => resume(Effect.void))
          for (const socket of open) socket.destroy()
        })
    )
    const { port } = proxy.address() as AddressInfo
    return {
      through: (url) => {
        const changed = new URL(url)
        changed.host = `127.0.0.1:${port}`
        return changed.href
      },
      to: (server) =>
        Effect.sync(() => {
          target = server
        }),
      renumber: (by) =>
        Effect.sync(() => {
          shift = by
        })
    }
  })
