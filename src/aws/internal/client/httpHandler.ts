/**
 * The request handler of our clients, over undici. The SDK's own counts the wait for a free socket as part of the time
 * to connect, and a reader's pauses as silence of the server; it also costs more.
 */
import { constVoid } from "effect/Function"
import { type Duplex, Readable } from "node:stream"
import type * as Undici from "undici"
import { percentEncode } from "../percentEncoding.ts"
import * as Call from "./call.ts"
import type { Request, Response } from "./message.ts"

export interface HttpHandlerOptions {
  /** The most connections to a host, for each lane. */
  readonly connections: Readonly<Record<Call.Lane, number>>
  /** Milliseconds until a connection must be there. */
  readonly connectTimeout: number
  /** Milliseconds that the server may be silent while we wait for it. */
  readonly readTimeout: number
}

export interface HttpHandler {
  readonly metadata: { readonly handlerProtocol: string }
  readonly handle: (
    request: Request,
    options?: { readonly abortSignal?: AbortSignal | undefined }
  ) => Promise<{ readonly response: Response }>
  readonly destroy: () => void
  readonly updateHttpClientConfig: () => void
  readonly httpHandlerConfigs: () => object
}

/** What we need of undici. */
export type UndiciModule = Pick<typeof Undici, "Agent" | "buildConnector">

export const make = (undici: UndiciModule, options: HttpHandlerOptions): HttpHandler => {
  const connector = undici.buildConnector({ timeout: options.connectTimeout })
  const sockets = new Set<Duplex>()
  /** Remembers the sockets: undici does not close those that are not connected yet. */
  const connect: Undici.buildConnector.connector = (target, callback) => {
    const socket = connector(target, callback) as unknown as Duplex
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  }
  const agent = (connections: number): Undici.Agent =>
    new undici.Agent({
      // Of requests that were ended before they had their connection, undici keeps that until it is there or fails.
      connections: 2 * connections,
      pipelining: 1,
      connect,
      headersTimeout: options.readTimeout,
      bodyTimeout: options.readTimeout,
      keepAliveTimeout: IDLE
    })
  // Slow readers and long polls must not keep other requests from a connection.
  const lanes: Readonly<Record<Call.Lane, Undici.Agent>> = {
    prompt: agent(options.connections.prompt),
    lasting: agent(options.connections.lasting)
  }
  // Of those who use the client directly, and may leave bodies unread.
  const direct = agent(options.connections.prompt)

  return {
    metadata: { handlerProtocol: "http/1.1" },
    handle: (request, { abortSignal } = {}) =>
      new Promise((resolve, reject) => {
        const call = Call.of(request)
        if (abortSignal?.aborted === true || call?.over === true) return reject(aborted())
        const exchange = new Exchange(call, request, options, resolve, reject)
        if (call !== undefined) {
          call.abort = exchange.end
          if (!call.met) call.delivered = false
          // What succeeded and is tried again had an error in its body, or nothing.
          else if (call.status >= 200 && call.status < 300) call.doubtful = true
          call.met = true
        }
        if (abortSignal !== undefined) {
          abortSignal.addEventListener("abort", exchange.end)
          exchange.onEnd = () => abortSignal.removeEventListener("abort", exchange.end)
        }
        const dispatcher = call === undefined ? direct : lanes[call.lane]
        try {
          dispatcher.dispatch(
            {
              origin: originOf(request),
              path: pathOf(request),
              method: request.method as Undici.Dispatcher.HttpMethod,
              headers: headersOf(request),
              body: exchange.bodyOf(request.body) as Buffer
            },
            exchange
          )
        } catch (cause) {
          exchange.onError(cause as Error)
        }
      }),
    destroy: () => {
      for (const one of [lanes.prompt, lanes.lasting, direct]) void one.destroy()
      for (const socket of sockets) socket.destroy()
    },
    updateHttpClientConfig: () => {},
    httpHandlerConfigs: () => ({})
  }
}

/** Milliseconds that an unused connection is kept. Shorter than the server keeps it, so that no request meets its close. */
const IDLE = 4_000

/** Bytes of a body that are handed to the socket at a time. */
const SLICE = 64 * 1024

/** Bytes of a reply that are read before they are asked for. */
const AHEAD = 256 * 1024

/** Bytes of a reply that has to be whole. A page of a list has some 2 MiB at most. */
const LONGEST = 64 * 1024 * 1024

/** One request and its reply: what undici calls. */
class Exchange implements Undici.Dispatcher.DispatchHandlers {
  onEnd: (() => void) | undefined
  readonly #call: Call.Call | undefined
  readonly #request: Request
  readonly #options: HttpHandlerOptions
  readonly #resolve: (reply: { readonly response: Response }) => void
  readonly #reject: (cause: Error) => void
  #abort: ((cause?: Error) => void) | undefined
  #over = false
  #sliced = false
  #delivered = false
  #head: Pick<Response, "statusCode" | "reason" | "headers"> | undefined
  #stream: Readable | undefined
  #chunks: Array<Buffer> = []
  #length = 0

  constructor(
    call: Call.Call | undefined,
    request: Request,
    options: HttpHandlerOptions,
    resolve: (reply: { readonly response: Response }) => void,
    reject: (cause: Error) => void
  ) {
    this.#call = call
    this.#request = request
    this.#options = options
    this.#resolve = resolve
    this.#reject = reject
  }

  /** Ends the request, also one that waits for its connection: it is not sent then. */
  readonly end = (): void => this.#fail(aborted())

  /**
   * A large body is handed over by slices: the time that the server may be silent begins anew with each, and the caller
   * sees how far it is.
   */
  bodyOf(body: unknown): unknown {
    const bytes = bytesOf(body)
    if (bytes === undefined) return body ?? null
    if (bytes.byteLength <= SLICE) return bytes
    this.#sliced = true
    return this.#slices(bytes)
  }

  *#slices(bytes: Uint8Array): Generator<Uint8Array, void> {
    for (let offset = 0; offset < bytes.byteLength; offset += SLICE) {
      const end = Math.min(offset + SLICE, bytes.byteLength)
      if (end === bytes.byteLength) this.#delivering()
      yield bytes.subarray(offset, end)
      this.#call?.onSent?.(end)
    }
  }

  #delivering(): void {
    this.#delivered = true
    if (this.#call !== undefined) this.#call.delivered = true
  }

  #doubt(): void {
    if (this.#call !== undefined && this.#delivered) this.#call.doubtful = true
  }

  onConnect(abort: (cause?: Error) => void): void {
    if (this.#over) return abort()
    this.#abort = abort
    if (!this.#sliced) this.#delivering()
  }

  onHeaders(statusCode: number, headers: ReadonlyArray<Buffer>, resume: () => void, reason: string): boolean {
    if (statusCode < 200) return true
    const plain = headersOfReply(headers)
    this.#head = { statusCode, reason, headers: plain }
    if (this.#call !== undefined) {
      this.#call.status = statusCode
      this.#call.headers = plain
      if (statusCode < 300 && !this.#isOurs(plain)) return false
    }
    if (this.#call === undefined ? true : this.#call.streams && statusCode < 300) {
      // The stream is destroyed when its reader ends early; then so is the request.
      this.#stream = new Readable({
        highWaterMark: AHEAD,
        read: resume,
        destroy: (cause, done) => {
          this.#finish()
          this.#abort?.()
          done(cause)
        }
      })
      // A call checks what it reads itself; the SDK's check is a stream on top of the stream, and costs more.
      if (this.#call !== undefined) this.#head = { statusCode, reason, headers: withoutChecksums(plain) }
      this.#stream.on("error", constVoid)
      this.#resolve({ response: { ...this.#head, body: this.#stream } })
    }
    // It has no body, whatever its headers say (RFC 9110, section 15.4.5).
    if (statusCode === 304) {
      this.onComplete()
      this.#abort?.()
    }
    return true
  }

  /** A success that cannot be that of this request: whoever has it may have stored anything. It is tried again. */
  #isOurs(reply: Readonly<Record<string, string>>): boolean {
    const problem = this.#sliced && !this.#delivered
      ? named("Error", "the reply came before all of the body was sent", "ECONNRESET")
      : hasOtherChecksum(this.#request.headers, reply)
      ? named("TimeoutError", "Checksum mismatch: the reply is of other bytes than were sent")
      : undefined
    if (problem === undefined) return true
    this.#delivering()
    this.#fail(problem)
    return false
  }

  onData(chunk: Buffer): boolean {
    if (this.#stream !== undefined) return this.#stream.push(chunk)
    this.#chunks.push(chunk)
    this.#length += chunk.byteLength
    if (this.#length > LONGEST) this.#fail(named("Error", "the reply is too long", "UND_ERR_HEADERS_OVERFLOW"))
    return true
  }

  onComplete(): void {
    if (this.#over) return
    this.#finish()
    if (this.#stream !== undefined) {
      this.#stream.push(null)
    } else if (this.#head !== undefined) {
      const body = whole(this.#chunks)
      if (this.#call !== undefined) this.#call.hasBody = body.byteLength > 0
      if (mayBeLate(this.#head.statusCode) && !notCarriedOut.test(Buffer.from(body).toString("latin1"))) this.#doubt()
      this.#resolve({ response: { ...this.#head, body } })
    }
  }

  onError(cause: Error): void {
    this.#fail(asNode(cause, this.#options))
  }

  #fail(cause: Error): void {
    if (this.#over) return
    this.#finish()
    this.#doubt()
    this.#abort?.()
    if (this.#stream === undefined) this.#reject(cause)
    else this.#stream.destroy(cause)
  }

  #finish(): void {
    this.#over = true
    if (this.#call !== undefined && this.#call.abort === this.end) this.#call.abort = undefined
    this.onEnd?.()
  }
}

/** Also of a 408: it is known that somebody gave up waiting, and not for what. */
const mayBeLate = (status: number): boolean => status >= 500 || status === 408

/**
 * What a service says that has not begun the work, as S3 and SQS write their errors. A gateway's 5xx says nothing of the
 * service behind it, whatever words are on its page. S3 asks by ServiceUnavailable for fewer requests, SQS speaks of a
 * failure of its own.
 */
const notCarriedOut =
  /<Code>[^<]*(?:SlowDown|ServiceUnavailable|Throttl|NotImplemented)|"__type"\s*:\s*"[^"]*(?:Throttl|NotImplemented)/

/** Names in lower case, each with its value; a name that comes again adds its value. */
const headersOfReply = (raw: ReadonlyArray<Buffer>): Record<string, string> => {
  const headers = new Map<string, string>()
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] as Buffer).toString("latin1").toLowerCase()
    const value = (raw[index + 1] as Buffer).toString("latin1")
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return Object.fromEntries(headers)
}

const checksums = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"].map((name) => `x-amz-checksum-${name}`)

/** S3 repeats the checksum of what it has stored. */
const hasOtherChecksum = (sent: Request["headers"], reply: Readonly<Record<string, string>>): boolean =>
  checksums.some((name) => sent[name] !== undefined && reply[name] !== undefined && sent[name] !== reply[name])

const withoutChecksums = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith("x-amz-checksum-")))

const whole = (chunks: ReadonlyArray<Buffer>): Uint8Array =>
  chunks.length === 1 ? chunks[0] as Buffer : Buffer.concat(chunks)

const bytesOf = (body: unknown): Uint8Array | undefined =>
  ArrayBuffer.isView(body)
    ? new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
    : body instanceof ArrayBuffer
    ? new Uint8Array(body)
    : undefined

const originOf = ({ hostname, port, protocol }: Request): string =>
  `${protocol}//${hostname}${port === undefined ? "" : `:${port}`}`

/** The query is encoded as Signature Version 4 has signed it. */
const pathOf = ({ path, query = {} }: Request): string => {
  const parameters = Object.keys(query).sort().flatMap((name) => {
    const value = query[name]
    const values = Array.isArray(value) ? value as ReadonlyArray<string> : [value as string | null | undefined]
    return values.map((one) =>
      one === null || one === undefined ? percentEncode(name) : `${percentEncode(name)}=${percentEncode(one)}`
    )
  })
  return parameters.length === 0 ? path : `${path}?${parameters.join("&")}`
}

/** undici sets these itself, and refuses them. */
const connectionHeaders: ReadonlySet<string> = new Set(["connection", "keep-alive", "transfer-encoding", "expect"])

const headersOf = ({ headers }: Request): Record<string, string> => {
  const sent: Record<string, string> = {}
  for (const name in headers) {
    if (!connectionHeaders.has(name.toLowerCase())) sent[name] = headers[name] as string
  }
  return sent
}

const aborted = (): Error => named("AbortError", "The request was aborted")

const named = (name: string, message: string, code?: string): Error =>
  Object.assign(new Error(message), { name }, code === undefined ? {} : { code })

/** An error of undici in the words of Node's own client, by which the SDK decides what to try again. */
const asNode = (cause: Error, { connectTimeout, readTimeout }: HttpHandlerOptions): Error => {
  switch ((cause as { readonly code?: string }).code) {
    case "UND_ERR_CONNECT_TIMEOUT":
      return named("TimeoutError", `the server did not establish a connection within ${connectTimeout / 1000} s`)
    case "UND_ERR_HEADERS_TIMEOUT":
    case "UND_ERR_BODY_TIMEOUT":
      return named("TimeoutError", `the server was silent for ${readTimeout / 1000} s`)
    case "UND_ERR_SOCKET":
    case "UND_ERR_RES_CONTENT_LENGTH_MISMATCH":
    case "UND_ERR_INFO":
      return named("Error", "the connection was closed before the reply was complete", "ECONNRESET")
    case "UND_ERR_DESTROYED":
    case "UND_ERR_CLOSED":
      return named("Error", "the client is closed", "UND_ERR_CLOSED")
    default:
      return cause.message === "" ? named(cause.name, "the request failed", (cause as { code?: string }).code) : cause
  }
}
