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
 * Calls back with true once the statement `hasEnded` and no KILL is unanswered, with false if no KILL can be sent. `open`
 * gives the side connection, which stays open until `end`.
 */
export const killQuery = (
  open: (onOpen: (side: DriverConnection) => void, onFailure: () => void) => () => void,
  threadId: number,
  hasEnded: () => boolean,
  done: (killed: boolean) => void
): Killer => {
  let side: DriverConnection | undefined
  let connected = false
  let pending = false
  let ended = false
  let again: NodeJS.Timeout | undefined
  const send = (): void => {
    pending = true
    side!.query(`KILL QUERY ${threadId}`, (error: unknown) => {
      pending = false
      if (ended) return
      if (error !== null && (error as { errno?: number }).errno !== NO_SUCH_THREAD) return done(false)
      if (hasEnded()) return done(true)
      again = setTimeout(send, KILL_AGAIN)
    })
  }
  const fail = (): void => {
    if (!ended) done(false)
  }
  const giveUp = open((opened) => {
    if (ended) return cut(opened)
    side = opened
    opened.on("error", fail)
    opened.once("end", fail)
    opened.once("connect", () => {
      connected = true
      if (ended) return cut(opened)
      if (hasEnded()) return done(true)
      send()
    })
  }, fail)
  return {
    pending: () => pending,
    end: (healthy) => {
      if (ended) return
      ended = true
      clearTimeout(again)
      const opened = side
      if (opened === undefined) return giveUp()
      if (healthy || !connected) return cut(opened)
      const timer = setTimeout(() => cut(opened), KILL_SESSION)
      opened.query(`KILL ${threadId}`, () => {
        clearTimeout(timer)
        cut(opened)
      })
    }
  }
}
