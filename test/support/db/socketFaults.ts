/** Errors of the operating system that no proxy can bring about: they are raised on the socket itself. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Socket } from "node:net"

/**
 * Until the scope closes, and once armed, the socket of this process that next sends the text fails with that error after
 * the bytes have left.
 */
export const failSockets = (
  text: string,
  error: NodeJS.ErrnoException | Error
): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const { write } = Socket.prototype
        const state = { armed: false }
        Socket.prototype.write = function(this: Socket, ...args: Array<any>): boolean {
          const written = (write as (...args: Array<any>) => boolean).apply(this, args)
          if (state.armed && Buffer.isBuffer(args[0]) && args[0].includes(text)) {
            state.armed = false
            setImmediate(() => this.destroy(error))
          }
          return written
        } as typeof write
        return { state, restore: () => void (Socket.prototype.write = write) }
      }),
      ({ restore }) => Effect.sync(restore)
    ),
    ({ state }) =>
      Effect.sync(() => {
        state.armed = true
      })
  )
