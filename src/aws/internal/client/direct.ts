/**
 * The short way of the requests that messages are sent and received with. Most of the time of a request is the SDK's: a
 * dozen layers of middleware, and a schema that is walked for each value on the way there and back. Here the SDK makes one
 * request, for a pattern. The others are written after it, signed by the SDK's signer, and sent; a reply that is a success
 * in plain JSON is the output.
 *
 * Anything else is the SDK's: it is given what came of the attempt as if it had made that itself, and does what it does
 * with its own: reads the error, corrects its clock, waits, tries again.
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { randomUUID } from "node:crypto"
import * as Call from "./call.ts"
import type { Command, Handler } from "./command.ts"
import type { Request, Response } from "./message.ts"

/** Those whose inputs and outputs are texts and numbers, but for the bytes of an attribute. */
export const operations: ReadonlySet<string> = new Set([
  "ChangeMessageVisibilityBatch",
  "DeleteMessageBatch",
  "ReceiveMessage",
  "SendMessage",
  "SendMessageBatch"
])

/** What we need of the settings of an SDK client. */
export interface ClientConfig {
  readonly requestHandler: { readonly handle: Call.Send }
  readonly signer: () => Promise<Signer>
  /** Milliseconds that the clock of the service is ahead of ours, as far as the SDK has noticed. */
  readonly systemClockOffset: number
  readonly retryStrategy: () => Promise<RetryStrategy>
}

/** `SignatureV4` of the SDK. */
interface Signer {
  readonly sign: (request: Request, options: { readonly signingDate: Date }) => Promise<Request>
}

/** A part of `RetryStrategyV2` of @smithy/types. */
interface RetryStrategy {
  readonly acquireInitialRetryToken: (scope: string) => Promise<object>
  readonly recordSuccess: (token: object) => void
}

/** What a request is made with. */
interface Pattern {
  /** Without what is new in each. */
  readonly request: Request
  readonly signer: Signer
  /** Tells the SDK, which tries less often again where little succeeds. */
  readonly succeeded: () => void
}

export const make = (sdk: Handler, config: ClientConfig): Handler => {
  /** None where requests have something that we do not know. */
  let known: Pattern | "none" | undefined

  const find = async (command: Command, call: Call.Call): Promise<Pattern | "none"> => {
    const request = await madeBy(sdk, command, call)
    if (!isKnown(request)) return "none"
    const strategy = await config.retryStrategy()
    const token = await strategy.acquireInitialRetryToken("")
    return {
      request: withoutVariable(request),
      signer: await config.signer(),
      succeeded: () => strategy.recordSuccess(token)
    }
  }

  const signed = ({ request, signer }: Pattern, body: Buffer): Promise<Request> => {
    const headers = { ...request.headers, [INVOCATION]: randomUUID(), [LENGTH]: String(body.byteLength) }
    return signer.sign({ ...request, headers, body }, {
      signingDate: new Date(clock.unsafeCurrentTimeMillis() + config.systemClockOffset)
    })
  }

  return async (command) => {
    const call = Call.of(command.input)
    if (call === undefined) return sdk(command)
    known ??= await find(command, call)
    if (known === "none" || holdsBytes(command.input)) return sdk(command)
    const request = await signed(known, Buffer.from(JSON.stringify(command.input)))
    Call.attachToRequest(request, call)
    const attempt = config.requestHandler.handle(request)
    const output = await attempt.then(({ response }) => outputOf(response), () => undefined)
    if (output !== undefined) {
      known.succeeded()
      return { output }
    }
    call.instead = () => attempt
    call.waits()
    return sdk(command)
  }
}

/** The request that the SDK would send for a command. */
const madeBy = async (sdk: Handler, command: Command, call: Call.Call): Promise<Request> => {
  let made: Request | undefined
  call.instead = (request) => {
    made = request
    return Promise.reject(new Error("made and not sent"))
  }
  try {
    await sdk(command)
  } catch (cause) {
    if (made === undefined) throw cause
  } finally {
    call.instead = undefined
  }
  if (made === undefined) throw new Error("the SDK has made no request")
  return made
}

const INVOCATION = "amz-sdk-invocation-id"
const LENGTH = "content-length"

/** Headers that are new in each request. */
const variable: ReadonlySet<string> = new Set([
  INVOCATION,
  LENGTH,
  "authorization",
  "x-amz-content-sha256",
  "x-amz-date",
  "x-amz-security-token"
])

const constant: ReadonlySet<string> = new Set([
  "amz-sdk-request",
  "content-type",
  "host",
  "user-agent",
  "x-amz-target",
  "x-amz-user-agent",
  "x-amzn-query-mode"
])

/**
 * Whether each header is one of ours, so that the next request needs nothing else. On Lambda each has the id of its
 * invocation, by which AWS stops functions that call themselves in circles.
 */
const isKnown = ({ headers, query = {} }: Request): boolean =>
  !isOnLambda() && Object.keys(query).length === 0
  && headers["content-type"] === "application/x-amz-json-1.0"
  && Object.keys(headers).every((name) => variable.has(name) || constant.has(name))

/** By the environment itself, as the SDK sees it, and not by our settings. */
const isOnLambda = (): boolean =>
  Option.isSome(
    Effect.runSync(ConfigProvider.fromEnv().load(Config.option(Config.string("AWS_LAMBDA_FUNCTION_NAME"))))
  )

/** The real one, as the SDK has it: a server takes no other. */
const clock = Clock.make()

const withoutVariable = (request: Request): Request => ({
  ...request,
  body: undefined,
  headers: Object.fromEntries(Object.entries(request.headers).filter(([name]) => !variable.has(name)))
})

/** Messages that are sent: one, or the entries of a batch. */
interface Input {
  readonly Entries?: ReadonlyArray<Input> | undefined
  readonly MessageAttributes?: Readonly<Record<string, { readonly BinaryValue?: unknown }>> | undefined
}

/** Whether an attribute is bytes. JSON has no such thing, and would take long to write them number by number. */
const holdsBytes = ({ Entries = [], MessageAttributes = {} }: Input): boolean =>
  Object.values(MessageAttributes).some(({ BinaryValue }) => BinaryValue !== undefined) || Entries.some(holdsBytes)

/** A quotation mark in a text has a backslash before it: only whole texts are found, and names of fields. */
const mayHoldBytes = (json: string): boolean => json.includes("\"BinaryValue\"")

/** The output of a command, if the reply is a success in plain JSON. */
const outputOf = ({ body, headers, statusCode }: Response): object | undefined => {
  if (statusCode !== 200 || !(body instanceof Uint8Array)) return undefined
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString()
  if (mayHoldBytes(text)) return undefined
  const output = parse(text)
  return Predicate.isRecord(output)
    ? { ...output, $metadata: { httpStatusCode: statusCode, requestId: headers["x-amzn-requestid"], attempts: 1 } }
    : undefined
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
