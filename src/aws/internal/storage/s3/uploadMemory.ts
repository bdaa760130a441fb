/**
 * The memory of the uploads of one Storage: a bound that all of them share, and buffers that are used again.
 *
 * What an upload reserves it can fill without asking for more, so that uploads cannot block each other: the beginning of
 * a stream (BEGINNING) from a quarter of the bound, and each whole part from the rest. The two are apart so that streams
 * that have hardly begun cannot take all of it. A source that gives nothing keeps what it has reserved, until others
 * wait for it: then its upload fails.
 */
import * as Effect from "effect/Effect"
import { ServiceError } from "../../../../Errors.ts"
import { cancellable } from "../../../../internal/cancellable.ts"
import { uninterruptibleMask } from "../../../../internal/effectPrimitives.ts"
import { Permits } from "../../client/permits.ts"
import { SOURCE_IDLE } from "../../deadlines.ts"
import { watching } from "../../watch.ts"

/** Bytes of the beginning of a stream. */
const BEGINNING = 256 * 1024

/** The memory of one part, or of a beginning. */
export interface Reservation {
  /** How many bytes may be used. */
  readonly size: number
  /** A buffer for these bytes, of at most that size. What is in it is of no meaning. */
  readonly buffer: (size: number) => Uint8Array
  /** Gives the memory back. `buffer` is used again; it must be that of a request that has let go of it. */
  readonly release: (buffer?: Uint8Array) => void
}

/** What one upload reserves. */
export interface Holder {
  /** For the beginning of a stream. */
  readonly beginning: Effect.Effect<Reservation>
  /** For a part of that size. */
  readonly part: (size: number) => Effect.Effect<Reservation>
  /** The method that uploads, for errors. */
  readonly operation: string
  /** When the upload began to wait for its source, by performance.now(); undefined while it does not. */
  waitingSince: number | undefined
  /** Called when the upload has to give way. */
  onEvict: ((error: ServiceError) => void) | undefined
  /** Gives everything back. */
  readonly close: () => void
}

interface Pool {
  readonly permits: Permits
  /** What holds some of it, and how to give that back. */
  readonly held: Map<() => void, Holder>
}

export class UploadMemory {
  readonly #most: number
  readonly #beginnings: Pool
  readonly #parts: Pool
  /** Buffers that nobody uses: together with what is reserved they are within the bound. */
  #free: Array<Uint8Array> = []
  #freeBytes = 0

  /** @param most the bound, in bytes. A part that is larger than it is reserved alone. */
  constructor(most: number) {
    const beginnings = Math.max(Math.floor(most / 4 / BEGINNING), 1) * BEGINNING
    this.#most = most
    this.#beginnings = { permits: new Permits(beginnings), held: new Map() }
    this.#parts = { permits: new Permits(most - beginnings), held: new Map() }
  }

  readonly holder = (operation: string): Holder => {
    const releases = new Set<() => void>()
    const holder: Holder = {
      operation,
      beginning: Effect.suspend(() => this.#reserve(this.#beginnings, BEGINNING, holder, releases)),
      part: (size) => Effect.suspend(() => this.#reserve(this.#parts, size, holder, releases)),
      waitingSince: undefined,
      onEvict: undefined,
      close: () => releases.forEach((release) => release())
    }
    return holder
  }

  #reserve(
    pool: Pool,
    size: number,
    holder: Holder,
    releases: Set<() => void>
  ): Effect.Effect<Reservation> {
    const reserved = (): Reservation => {
      let held = true
      const release = (buffer?: Uint8Array): void => {
        if (!held) return
        held = false
        releases.delete(release)
        pool.held.delete(release)
        this.#giveBack(pool, size, buffer)
      }
      releases.add(release)
      pool.held.set(release, holder)
      return { size, buffer: (bytes) => this.#buffer(bytes), release }
    }
    if (pool.permits.takeNow(size)) return Effect.succeed(reserved())
    let leave: (() => boolean) | undefined
    const start = (resume: (reservation: Effect.Effect<Reservation>) => void): void => {
      leave = pool.permits.take(size, () => resume(Effect.succeed(reserved())))
      if (pool.permits.waiting > 0) this.#watch()
    }
    return uninterruptibleMask((restore) =>
      cancellable(restore, { start, cancel: () => Effect.sync(() => void leave?.()) })
    )
  }

  get #taken(): number {
    return this.#beginnings.permits.taken + this.#parts.permits.taken
  }

  #buffer(size: number): Uint8Array {
    const index = this.#free.findIndex((buffer) => buffer.byteLength === size)
    const found = index < 0 ? undefined : this.#take(index)
    while (this.#freeBytes > 0 && this.#freeBytes + this.#taken > this.#most) this.#take(0)
    // Not cleared: a part is sent only as far as it was filled.
    return found ?? Buffer.allocUnsafeSlow(size)
  }

  #take(index: number): Uint8Array {
    const [buffer] = this.#free.splice(index, 1) as [Uint8Array]
    this.#freeBytes -= buffer.byteLength
    return buffer
  }

  #giveBack({ permits }: Pool, size: number, buffer: Uint8Array | undefined): void {
    if (buffer !== undefined) {
      this.#free.push(buffer)
      this.#freeBytes += buffer.byteLength
    }
    permits.give(size)
    if (this.#taken > 0) return
    // Nothing is uploaded any more, and the memory is worth more to others.
    this.#free = []
    this.#freeBytes = 0
  }

  /** While somebody waits for memory, those whose source gives nothing have to give way. */
  readonly #watch = watching(SOURCE_IDLE / 10, () => {
    const waitedFor = [this.#beginnings, this.#parts].filter(({ permits }) => permits.waiting > 0)
    const latest = performance.now() - SOURCE_IDLE
    for (const { held } of waitedFor) {
      for (const holder of new Set(held.values())) {
        if (holder.waitingSince !== undefined && holder.waitingSince <= latest) {
          holder.onEvict?.(stalled(holder.operation))
        }
      }
    }
    return waitedFor.length > 0
  })
}

const stalled = (operation: string): ServiceError =>
  new ServiceError({
    service: "S3",
    operation,
    reason: "Timeout",
    retryable: false,
    attempts: 0,
    detail: `its data did not come for ${SOURCE_IDLE / 1000} s, while other uploads waited for the memory that it held`,
    hint: "raise STORAGE_UPLOAD_MEMORY_MIB if slow sources are usual"
  })
