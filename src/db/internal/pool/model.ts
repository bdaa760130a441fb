/** What the pool is made of: its driver, its slots, its borrowers and its numbers. */

/** What the pool needs of a connection. Each callback is called at most once; the pool puts the deadlines on them. */
export interface Driver<C> {
  /** Opens a connection and sets its session up. The function returned gives up on it, also after the answer was due. */
  readonly dial: (done: (result: Dialled<C>) => void) => () => void
  readonly ping: (connection: C, done: (alive: boolean) => void) => void
  readonly reset: (connection: C, done: (clean: boolean) => void) => void
  /** Says goodbye to the server. */
  readonly close: (connection: C) => void
  /** Cuts the socket at once. */
  readonly destroy: (connection: C) => void
}

export type Dialled<C> =
  | { readonly _tag: "Connected"; readonly connection: C }
  | { readonly _tag: "Failed"; readonly cause: unknown; readonly kind: DialFailure }

/** "permanent": a login or a database that will not work next time either; "full": the server has too many connections. */
export type DialFailure = "permanent" | "full" | "transient"

/** Time and chance, injected so that tests decide them. Milliseconds; `now` never goes back. */
export interface Surroundings {
  readonly now: () => number
  readonly random: () => number
  readonly schedule: (delay: number, task: () => void) => () => void
}

export interface Options {
  readonly size: number
  readonly overflow: number
  readonly acquireTimeout: number
  readonly connectTimeout: number
  readonly recycle: number
  readonly prePing: boolean
  readonly pingSkip: number
  readonly leakThreshold: number
  readonly onLeak: (slot: Slot<unknown>, heldFor: number) => void
}

export interface Slot<C> {
  readonly connection: C
  /** How often the pool had been invalidated when it was opened. */
  readonly generation: number
  readonly expiresAt: number
  lastUsed: number
  borrowedAt: number
  /** What the borrower wants to be found by if it leaks the connection. */
  borrower: unknown
  reported: boolean
  state: "idle" | "active" | "gone"
}

export interface Borrower<C> {
  readonly onSlot: (slot: Slot<C>) => void
  readonly onFailure: (failure: AcquireFailure) => void
  readonly label?: unknown
}

export interface AcquireFailure {
  readonly _tag: "Timeout" | "Closed" | "DialFailed"
  readonly stats: Stats
  /** The last failed dial, where there has been one since the last successful one. */
  readonly cause: unknown
}

/** Of one pool at one moment. */
export interface Levels {
  readonly idle: number
  readonly active: number
  readonly dialling: number
  readonly waiting: number
}

/** Of one pool since its start. */
export interface Counts {
  readonly opened: number
  readonly dialFailures: number
  readonly timeouts: number
  readonly recycled: number
  readonly discarded: Readonly<Record<DiscardReason, number>>
}

/** Numbers of one pool; `size` counts the slots in existence, `overflow` those beyond the pool's size, `max` how many there may be. */
export interface Stats extends Levels, Counts {
  readonly size: number
  readonly overflow: number
  readonly max: number
}

export type DiscardReason = "broken" | "pingFailed" | "resetFailed" | "overflow" | "invalidated"

/** How a borrower gives its connection back. */
export type Return = "clean" | "reset" | "discard"
