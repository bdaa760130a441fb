/** The body of a download: takes what has arrived, and reads on only as far as `AHEAD`. */
import * as Effect from "effect/Effect"
import type { Readable } from "node:stream"
import { ServiceError } from "../../../../Errors.ts"
import { toServiceError } from "../../errors/classify.ts"

/** Bytes that wait for their reader before the body is paused. */
const AHEAD = 1024 * 1024

export class BodyReader {
  readonly #body: Readable
  #chunks: Array<Uint8Array> = []
  #bytes = 0
  #paused = false
  #over = false
  #failure: ServiceError | undefined
  #wake: (() => void) | undefined
  #waking = false

  constructor(body: Readable, operation: string) {
    this.#body = body
    const end = (failure?: ServiceError): void => {
      if (this.#over) return
      this.#over = true
      this.#failure = failure
      this.#wake?.()
    }
    body.on("data", (chunk: Uint8Array) => {
      this.#chunks.push(chunk)
      this.#bytes += chunk.byteLength
      if (this.#bytes >= AHEAD && !this.#paused) {
        this.#paused = true
        body.pause()
      }
      this.#wakeSoon()
    })
    body.on("end", () => end())
    body.on("error", (cause) => end(cause instanceof ServiceError ? cause : toServiceError("S3", operation, cause)))
    // Without an end before it.
    body.on("close", () => end(toServiceError("S3", operation, closedEarly())))
  }

  /** After everything that has arrived by now: a turn of the reader costs more than a chunk. */
  #wakeSoon(): void {
    if (this.#wake === undefined || this.#waking) return
    this.#waking = true
    setImmediate(() => {
      this.#waking = false
      this.#wake?.()
    })
  }

  /** Everything that has arrived since the last call. */
  take(): Array<Uint8Array> {
    const chunks = this.#chunks
    this.#chunks = []
    this.#bytes = 0
    if (this.#paused) {
      this.#paused = false
      this.#body.resume()
    }
    return chunks
  }

  /** There is nothing after what has arrived. */
  get isOver(): boolean {
    return this.#over
  }

  get failure(): ServiceError | undefined {
    return this.#failure
  }

  /** Waits until there is something to take, or nothing any more. */
  readonly news: Effect.Effect<void> = Effect.async((resume) => {
    const wake = (): void => resume(Effect.void)
    if (this.#over || this.#chunks.length > 0) return wake()
    this.#wake = wake
    return Effect.sync(() => void (this.#wake = undefined))
  })

  /** Closes the connection of a body that was not read to its end. */
  close(): void {
    this.#body.destroy()
  }
}

const closedEarly = (): Error => Object.assign(new Error("the connection was closed"), { code: "ECONNRESET" })
