/** A body cut into parts. Each part is whole in memory, so that it can be sent again; one at a time is being filled. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ServiceError } from "../../../../Errors.ts"
import { isBytes, notBytes, wrongSize } from "../input/data.ts"
import { type Holder, type Reservation } from "./uploadMemory.ts"

export interface Part {
  readonly bytes: Uint8Array
  /** Gives the memory back. `sent`: the request has let go of it, so that it may be used for other bytes. */
  readonly release: (sent: boolean) => void
}

/** The next part, none after the last. Must not be run concurrently. */
export type Parts<E, R> = Effect.Effect<Option.Option<Part>, E, R>

/** The parts of bytes in memory, which are not copied. */
export const ofBytes = (bytes: Uint8Array, sizeOf: (number: number) => number): Parts<never, never> => {
  let offset = 0
  let number = 0
  return Effect.sync(() => {
    if (offset >= bytes.byteLength) return Option.none()
    const part = bytes.subarray(offset, offset + sizeOf(++number))
    offset += part.byteLength
    return Option.some({ bytes: part, release: () => {} })
  })
}

export interface StreamParts<E, R> {
  readonly next: Parts<ServiceError | E, R>
  /** Whether the stream has no more bytes than those of the parts so far. It reads the next chunk to find out. */
  readonly ended: Effect.Effect<boolean, ServiceError | E, R>
}

/**
 * The parts of a stream. Its chunks are copied: a source may reuse its buffers, and a part has many small chunks.
 * `size` is how many bytes there must be; undefined if it is not known.
 */
export const ofStream = <E, R>(
  operation: string,
  stream: Stream.Stream<Uint8Array, E, R>,
  size: number | undefined,
  sizeOf: (number: number) => number,
  holder: Holder
): Effect.Effect<StreamParts<E, R>, never, R | Scope.Scope> =>
  Effect.map(Stream.toPull(stream), (pull) => {
    /** Chunks that were read and are not in a part yet, the first of them from `at`. */
    let waiting: Array<Uint8Array> = []
    let index = 0
    let at = 0
    let finished = false
    let number = 0
    let read = 0

    const hasWaiting = (): boolean => index < waiting.length

    /** Reads on. Fails if the stream turns out to have another size than was said. */
    const more: Effect.Effect<void, ServiceError | E, R> = Effect.suspend(() => {
      // Chunks without bytes are as good as none.
      holder.waitingSince ??= performance.now()
      return Effect.matchEffect(pull, {
        onFailure: (end: Option.Option<E>): Effect.Effect<void, ServiceError | E> => {
          holder.waitingSince = undefined
          if (Option.isSome(end)) return Effect.fail(end.value)
          finished = true
          return size !== undefined && read < size ? Effect.fail(wrongSize(operation, size, read)) : Effect.void
        },
        onSuccess: (chunks): Effect.Effect<void, ServiceError> => {
          waiting = []
          index = 0
          at = 0
          for (const chunk of chunks) {
            if (!isBytes(chunk)) return Effect.fail(notBytes(operation))
            if (chunk.byteLength === 0) continue
            waiting.push(chunk)
            read += chunk.byteLength
          }
          if (hasWaiting()) holder.waitingSince = undefined
          return size !== undefined && read > size ? Effect.fail(wrongSize(operation, size, read)) : Effect.void
        }
      })
    })

    /** Copies what fits of the chunks that wait. */
    const fill = (part: PartBuffer): void => {
      while (hasWaiting() && !part.isFull()) {
        const chunk = waiting[index] as Uint8Array
        const taken = part.append(at === 0 ? chunk : chunk.subarray(at))
        at += taken
        if (at === chunk.byteLength) {
          index++
          at = 0
        }
      }
    }

    const isAtEnd = (): Effect.Effect<boolean, ServiceError | E, R> => {
      if (hasWaiting()) return Effect.succeed(false)
      return finished ? Effect.succeed(true) : Effect.flatMap(more, isAtEnd)
    }

    /** Fills the part, or puts into it what is left of the stream. */
    const fillWhole = (part: PartBuffer): Effect.Effect<PartBuffer, ServiceError | E, R> => {
      fill(part)
      return part.isFull() || (finished && !hasWaiting())
        ? Effect.succeed(part)
        : Effect.flatMap(more, () => fillWhole(part))
    }

    /** The first part begins small: nobody knows yet whether there will be more. */
    const first = Effect.flatMap(holder.beginning, (reservation) =>
      Effect.flatMap(fillWhole(makeBuffer(reservation)), (beginning) =>
        Effect.flatMap(isAtEnd(), (ended) => {
          if (ended || beginning.length() >= sizeOf(1)) {
            return Effect.succeed(beginning)
          }
          return Effect.flatMap(holder.part(Math.min(sizeOf(1), size ?? Number.POSITIVE_INFINITY)), (reservation) => {
            const part = makeBuffer(reservation)
            part.append(beginning.bytes())
            beginning.done().release(true)
            return fillWhole(part)
          })
        })))

    /** The memory of a later part is reserved when there is something to put into it. */
    const later = Effect.flatMap(
      Effect.suspend(isAtEnd),
      (ended): Effect.Effect<PartBuffer | undefined, ServiceError | E, R> =>
        ended
          ? Effect.succeed(undefined)
          : Effect.flatMap(
            holder.part(Math.min(sizeOf(number), size === undefined ? Number.POSITIVE_INFINITY : size - taken())),
            (reservation) =>
              fillWhole(makeBuffer(reservation))
          )
    )

    const next = Effect.suspend(() => {
      number++
      const part: Effect.Effect<PartBuffer | undefined, ServiceError | E, R> = number === 1 ? first : later
      return Effect.map(part, (part) =>
        part === undefined || part.length() === 0 ? Option.none() : Option.some(part.done()))
    })

    /** Bytes that are in parts already. */
    const taken = (): number => {
      let left = -at
      for (let i = index; i < waiting.length; i++) {
        left += (waiting[i] as Uint8Array).byteLength
      }
      return read - left
    }

    return { next, ended: Effect.suspend(isAtEnd) }
  })

interface PartBuffer {
  readonly isFull: () => boolean
  readonly length: () => number
  readonly bytes: () => Uint8Array
  readonly done: () => Part
  /** Copies what fits, and returns how much that was. */
  readonly append: (bytes: Uint8Array) => number
}

/** What the buffer of a large part begins with; it grows as it is filled. */
const LARGE = 8 * 1024 * 1024

const makeBuffer = (reservation: Reservation): PartBuffer => {
  const { size } = reservation
  let buffer = reservation.buffer(Math.min(size, LARGE))
  let length = 0
  const bytes = (): Uint8Array => buffer.subarray(0, length)
  return {
    isFull: () => length === size,
    length: () => length,
    bytes,
    append: (chunk) => {
      const taken = Math.min(chunk.byteLength, size - length)
      if (length + taken > buffer.byteLength) {
        const larger = reservation.buffer(Math.min(size, Math.max(buffer.byteLength * 2, length + taken)))
        larger.set(bytes())
        buffer = larger
      }
      buffer.set(taken === chunk.byteLength ? chunk : chunk.subarray(0, taken), length)
      length += taken
      return taken
    },
    done: () => ({ bytes: bytes(), release: (sent) => reservation.release(sent ? buffer : undefined) })
  }
}
