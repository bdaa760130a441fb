/** A body cut into parts. Each part is whole in memory, so that it can be sent again; one at a time is being filled. */
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** The next part, none after the last. All parts but the last have the same size. Must not be run concurrently. */
export type Parts<E, R> = Effect.Effect<Option.Option<Uint8Array>, E, R>

/** What a body turns out to be once its beginning has been read. */
export type Body<E, R> =
  | { readonly _tag: "Empty" }
  | { readonly _tag: "Whole"; readonly bytes: Uint8Array }
  | { readonly _tag: "Parts"; readonly parts: Parts<E, R> }

/** Reads up to two parts to find out what the body is. The parts that were read come first in `parts`. */
export const begin = <E, R>(parts: Parts<E, R>, size: number): Effect.Effect<Body<E, R>, E, R> =>
  Effect.gen(function*() {
    const held: Array<Uint8Array> = []
    const hold = Effect.map(parts, (part) => {
      if (Option.isSome(part)) held.push(part.value)
      return Option.isSome(part)
    })
    if (!(yield* hold)) return { _tag: "Empty" }
    if ((held[0] as Uint8Array).byteLength < size || !(yield* hold)) {
      return { _tag: "Whole", bytes: held[0] as Uint8Array }
    }
    return {
      _tag: "Parts",
      parts: Effect.suspend(() => {
        const part = held.shift()
        return part === undefined ? parts : Effect.succeedSome(part)
      })
    }
  })

export const ofBytes = (bytes: Uint8Array, size: number): Parts<never, never> => {
  let offset = 0
  return Effect.sync(() => {
    if (offset >= bytes.byteLength) return Option.none()
    const part = bytes.subarray(offset, offset + size)
    offset += part.byteLength
    return Option.some(part)
  })
}

/** The parts of a stream. Its chunks are copied: a source may reuse its buffers, and a part has many small chunks. */
export const ofStream = <E, R>(
  stream: Stream.Stream<Uint8Array, E, R>,
  size: number
): Effect.Effect<Parts<E, R>, never, R | Scope.Scope> =>
  Effect.map(Stream.toPull(stream), (pull) => {
    let waiting: ReadonlyArray<Uint8Array> = []
    let ended = false
    let room = Math.min(size, 64 * 1024)

    const more: Effect.Effect<void, E, R> = Effect.matchEffect(pull, {
      onFailure: (error: Option.Option<E>) =>
        Option.match(error, {
          onNone: () => Effect.sync(() => void (ended = true)),
          onSome: (error) => Effect.fail(error)
        }),
      onSuccess: (chunk: Chunk.Chunk<Uint8Array>) => Effect.sync(() => void (waiting = Array.from(chunk)))
    })

    return Effect.gen(function*() {
      const part = makeBuffer(room, size)
      while (!part.isFull()) {
        if (waiting.length > 0) {
          waiting = part.take(waiting)
        } else if (ended) {
          break
        } else {
          yield* more
        }
      }
      // After a full part another one is likely, so the next buffer begins at full size.
      room = size
      return part.isEmpty() ? Option.none() : Option.some(part.bytes())
    })
  })

interface PartBuffer {
  readonly isFull: () => boolean
  readonly isEmpty: () => boolean
  readonly bytes: () => Uint8Array
  /** Copies what fits, and returns the rest. */
  readonly take: (chunks: ReadonlyArray<Uint8Array>) => ReadonlyArray<Uint8Array>
}

/** Begins with `room` bytes and grows up to `size`, so that a small body does not cost a whole part. */
const makeBuffer = (room: number, size: number): PartBuffer => {
  let buffer = new Uint8Array(room)
  let length = 0

  const append = (bytes: Uint8Array): void => {
    if (length + bytes.byteLength > buffer.byteLength) {
      const larger = new Uint8Array(Math.min(size, Math.max(buffer.byteLength * 2, length + bytes.byteLength)))
      larger.set(buffer.subarray(0, length))
      buffer = larger
    }
    buffer.set(bytes, length)
    length += bytes.byteLength
  }

  return {
    isFull: () => length === size,
    isEmpty: () => length === 0,
    bytes: () => buffer.subarray(0, length),
    take: (chunks) => {
      for (let index = 0; index < chunks.length; index++) {
        const chunk = chunks[index] as Uint8Array
        const room = size - length
        append(chunk.subarray(0, room))
        if (chunk.byteLength > room) return [chunk.subarray(room), ...chunks.slice(index + 1)]
      }
      return []
    }
  }
}
