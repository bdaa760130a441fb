/** KILL QUERY from a side connection, repeated until the statement that it is meant for has ended. */
import type { DriverConnection } from "../borrowed/mysql2Connection.ts"
import { KILL_AGAIN, KILL_SESSION } from "../deadlines.ts"
import { cut } from "./mysql2.ts"

/** ER_NO_SUCH_THREAD: the session has ended by itself. */
const NO_SUCH_THREAD = 1094

export interface Killer {
  /** A KILL has been sent and not answered: it may still hit whatever runs next. */
  readonly pending: () => boolean
  /** Closes the side connection. Unless `healthy`, the statement has not ended: KILL ends its whole session first. */
  readonly end: (healthy: boolean) => void
}

/**
 * Calls back with true once the statement `hasEnded` and no KILL is unanswered, with false if no KILL can be sent. The
 * side connection stays open until `end`.
 */
export const killQuery = (
  side: DriverConnection,
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
      if (error !== null && (error as { errno?: number }).errno !== NO_SUCH_THREAD) return done(false)
      if (hasEnded()) return done(true)
      again = setTimeout(send, KILL_AGAIN)
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
      const timer = setTimeout(() => cut(side), KILL_SESSION)
      side.query(`KILL ${threadId}`, () => {
        clearTimeout(timer)
        cut(side)
      })
    }
  }
}
