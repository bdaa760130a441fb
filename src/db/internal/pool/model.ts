/** What the pool is made of: how it gets connections, its entries, its borrowers and its numbers. */

/** What the pool needs of a connection. Each callback is called at most once; the pool sets the deadlines. */
export interface ConnectionFactory<C> {
  /** Opens a connection and sets its session up. The function returned gives the attempt up, at any time. */
  readonly dial: (done: (result: Dialled<C>) => void) => () => void
  readonly ping: (connection: C, done: (alive: boolean) => void) => void
  readonly reset: (connection: C, done: (clean: boolean) => void) => void
  /** Tells the server that the session ends, then closes. */
  readonly close: (connection: C) => void
  /** Cuts the socket at once. */
  readonly destroy: (connection: C) => void
}

export type Dialled<C> =
  | { readonly _tag: "Connected"; readonly connection: C }
  | { readonly _tag: "Failed"; readonly cause: unknown; readonly kind: DialFailure }

/** "permanent": the next attempt will fail too (login, unknown database, TLS); "full": the server has too many connections. */
export type DialFailure = "permanent" | "full" | "transient"

/** Time and chance, injected so that tests control them. Milliseconds; `now` never goes back. */
export interface Surroundings {
  readonly now: () => number
  readonly random: () => number
  /** Runs the task after the delay, unless the function returned is called first. */
  readonly schedule: (delay: number, task: () => void) => () => void
}

/** Times in milliseconds; Infinity = never. */
export interface Options {
  readonly size: number
  readonly overflow: number
  readonly acquireTimeout: number
  readonly connectTimeout: number
  readonly recycle: number
  readonly prePing: boolean
  readonly pingSkip: number
  readonly leakThreshold: number
  readonly onLeak: (entry: Entry<unknown>, heldFor: number) => void
}

/** One connection of the pool. */
export interface Entry<C> {
  readonly connection: C
  /** How often the pool had been invalidated when the connection was opened. */
  readonly generation: number
  readonly expiresAt: number
  lastUsed: number
  borrowedAt: number
  /** The label of the borrower, to find it by if it leaks the connection. */
  borrower: unknown
  /** Whether the leak has been reported. */
  reported: boolean
  state: "idle" | "active" | "gone"
}

/** Exactly one of the callbacks is called, once, unless the request is taken back before. */
export interface Borrower<C> {
  readonly onEntry: (entry: Entry<C>) => void
  readonly onFailure: (failure: AcquireFailure) => void
  readonly label?: unknown
}

export interface AcquireFailure {
  readonly _tag: "Timeout" | "Closed" | "DialFailed"
  readonly stats: Stats
  /** Why the last dial failed; undefined if it succeeded. */
  readonly cause: unknown
}

/** How a borrower gives its connection back: as it was, to be reset, or not to be used again. */
export type Return = "clean" | "reset" | "discard"

/** Why a connection was discarded rather than kept. */
export type DiscardReason = "broken" | "pingFailed" | "resetFailed" | "overflow" | "invalidated"

/** The current numbers of one pool. */
export interface Levels {
  readonly idle: number
  readonly active: number
  readonly dialling: number
  readonly waiting: number
}

/** The counts of one pool since its start. */
export interface Counts {
  readonly opened: number
  readonly dialFailures: number
  readonly timeouts: number
  readonly recycled: number
  readonly discarded: Readonly<Record<DiscardReason, number>>
}

/** The numbers of one pool. */
export interface Stats extends Levels, Counts {
  /** Connections that exist or are being opened: idle + active + dialling. */
  readonly size: number
  /** Connections beyond the pool's `size` option. */
  readonly overflow: number
  /** The most connections that there may be: pool size and overflow. */
  readonly max: number
}

/** The numbers of a database that has no pool of ours. */
export const NO_STATS: Stats = {
  idle: 0,
  active: 0,
  dialling: 0,
  waiting: 0,
  size: 0,
  overflow: 0,
  max: 0,
  opened: 0,
  dialFailures: 0,
  timeouts: 0,
  recycled: 0,
  discarded: { broken: 0, pingFailed: 0, resetFailed: 0, overflow: 0, invalidated: 0 }
}
