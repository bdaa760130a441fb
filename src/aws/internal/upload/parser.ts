/**
 * Takes apart the bytes of a `multipart/form-data` body (RFC 2046, section 5.1.1), without Effect and without waiting.
 *
 * Ours, because that of `@effect/platform` (multipasta 0.2) throws out of an event of the socket, and so ends the process,
 * where a name is escaped wrongly, and takes a body for malformed whose last boundary comes in two packets.
 */
import * as Either from "effect/Either"
import type { Malformed } from "./errors.ts"
import { type Head, malformed, parseHead } from "./head.ts"

export type Event =
  | { readonly _tag: "Part"; readonly head: Head }
  | { readonly _tag: "Data"; readonly bytes: Uint8Array }
  | { readonly _tag: "PartEnd" }
  | { readonly _tag: "End" }

export interface Parser {
  /**
   * What follows from these bytes. Data are views of them, and nothing is held back but the beginning of a header or of
   * a boundary. After a failure it must not be called again.
   */
  readonly push: (bytes: Uint8Array) => Either.Either<ReadonlyArray<Event>, Malformed>
}

export const make = (boundary: string): Parser => {
  const delimiter = Buffer.from(`\r\n--${boundary}`, "latin1")
  let state: "preamble" | "delimiter" | "head" | "data" | "epilogue" = "preamble"
  // The first boundary may stand at the beginning of the body.
  let held: Buffer = LINE

  const push: Parser["push"] = (bytes) => {
    if (bytes.byteLength === 0) return Either.right([])
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const buffer = held.length === 0 ? view : Buffer.concat([held, view])
    const events: Array<Event> = []
    let at = 0
    const hold = (from: number): Either.Either<ReadonlyArray<Event>, Malformed> => {
      // A copy: the source may use its buffer again.
      held = Buffer.from(buffer.subarray(from))
      return Either.right(events)
    }
    while (true) {
      if (state === "epilogue") return hold(buffer.length)
      if (state === "preamble" || state === "data") {
        const found = buffer.indexOf(delimiter, at)
        const end = found === -1 ? beginningOf(delimiter, buffer, at) : found
        if (state === "data" && end > at) events.push({ _tag: "Data", bytes: buffer.subarray(at, end) })
        if (found === -1) return hold(end)
        if (state === "data") events.push({ _tag: "PartEnd" })
        at = found + delimiter.length
        state = "delimiter"
      } else if (state === "delimiter") {
        if (buffer.length - at < 2) return hold(at)
        if (buffer[at] === DASH && buffer[at + 1] === DASH) {
          events.push({ _tag: "End" })
          state = "epilogue"
          continue
        }
        let end = at
        while (buffer[end] === SPACE || buffer[end] === TAB) end++
        if (end - at > PADDING) return Either.left(malformed("Boundary", "a boundary has too much space behind it"))
        if (buffer.length - end < 2) return hold(at)
        if (buffer[end] !== CR || buffer[end + 1] !== LF) {
          return Either.left(malformed("Boundary", "a boundary is followed by something else than the end of its line"))
        }
        // The line's end is kept: it is the first half of the empty line where a part has no headers.
        at = end
        state = "head"
      } else {
        const end = buffer.indexOf(EMPTY_LINE, at)
        if (end - at > HEAD || (end === -1 && buffer.length - at > HEAD)) {
          return Either.left(malformed("Headers", `the headers of a part are longer than ${HEAD} bytes`))
        }
        if (end === -1) return hold(at)
        const head = parseHead(buffer.toString("utf8", Math.min(at + LINE.length, end), end))
        if (Either.isLeft(head)) return Either.left(head.left)
        events.push({ _tag: "Part", head: head.right })
        at = end + EMPTY_LINE.length
        state = "data"
      }
    }
  }
  return { push }
}

const LINE = Buffer.from("\r\n")
const EMPTY_LINE = Buffer.from("\r\n\r\n")
const [CR, LF, DASH, SPACE, TAB] = [13, 10, 45, 32, 9]

/** Bytes of the headers of a part. */
const HEAD = 8192

/** Bytes of space that may follow a boundary ("transport padding"). */
const PADDING = 64

/** Where the last bytes are the beginning of the delimiter, and so may become one; else the end. */
const beginningOf = (delimiter: Buffer, buffer: Buffer, from: number): number => {
  let at = buffer.indexOf(CR, Math.max(from, buffer.length - delimiter.length + 1))
  while (at !== -1 && buffer.compare(delimiter, 0, buffer.length - at, at) !== 0) at = buffer.indexOf(CR, at + 1)
  return at === -1 ? buffer.length : at
}
