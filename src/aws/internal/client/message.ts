/** Requests and replies between the SDK and our request handler. */
import type { Readable } from "node:stream"

/** What the SDK asks for: a part of `HttpRequest` of @smithy/types. */
export interface Request {
  readonly method: string
  readonly protocol: string
  readonly hostname: string
  readonly port?: number | undefined
  readonly path: string
  readonly query?: Readonly<Record<string, string | ReadonlyArray<string> | null>> | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
}

export interface Response {
  readonly statusCode: number
  readonly reason: string
  readonly headers: Record<string, string>
  readonly body: Uint8Array | Readable
}
