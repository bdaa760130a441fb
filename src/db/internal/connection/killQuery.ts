/** KILL QUERY from a side connection, until the statement that it is meant for has ended. */
import type { Raw } from "./mysql2.ts"
import { cut } from "./mysql2.ts"

/** A KILL that meets the moment between PREPARE and EXECUTE finds nothing to kill: it is sent again after this. */
const AGAIN = 50

/** How long the last KILL may take, which nobody waits for. */
const LAST_DEADLINE = 1_000

export interface Killer {
  /** A KILL has been sent and not been answered: it may still hit whatever runs next. */
  readonly pending: () => boolean
  /** The statement has ended (`healthy`), or its connection is given up: then the server ends the whole session. */
  readonly end: (healthy: boolean) => void
}

/**
 * Calls back with true once a KILL has been answered and the statement `hasEnded`, with false where no KILL can be sent.
 * The side connection is gone after `end`.
 */
export const kill = (
  side: Raw,
  threadId: number,
  hasEnded: () => boolean,
  done: (killed: boolean) => void
): Killer => {
  let connected = false
  let pending = false
  let ended = false
  let again: NodeJS.Timeout | undefined
  const send = (): void => {
    pending = true
    side.query(`KILL QUERY ${threadId}`, (error: unknown) => {
      pending = false
      if (ended) return
      // 1094 ER_NO_SUCH_THREAD: the session has ended by itself.
      if (error !== null && (error as { errno?: number }).errno !== 1094) return done(false)
      if (hasEnded()) return done(true)
      again = setTimeout(send, AGAIN)
    })
  }
  side.on("error", () => {
    if (!ended) done(false)
  })
  side.once("end", () => {
    if (!ended) done(false)
  })
  side.once("connect", () => {
    connected = true
    if (ended) return cut(side)
    if (hasEnded()) return done(true)
    send()
  })
  return {
    pending: () => pending,
    end: (healthy) => {
      if (ended) return
      ended = true
      clearTimeout(again)
      if (healthy || !connected) return cut(side)
      const timer = setTimeout(() => cut(side), LAST_DEADLINE)
      side.query(`KILL ${threadId}`, () => {
        clearTimeout(timer)
        cut(side)
      })
    }
  }
}
