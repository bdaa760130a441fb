/**
 * One call of a client, as the request handler sees it. It travels as a property of the command's input, under a symbol
 * that nothing else looks at: the SDK's middleware is made once for all calls of a command, so nothing can be passed
 * beside the command.
 */
import { constVoid } from "effect/Function"
import type { Request, Response } from "./message.ts"

const CallId: unique symbol = Symbol("@betterai/infrastructure/Call")

/**
 * Two kinds of requests that do not share connections: those that are answered soon, and those that may last, which are the
 * downloads of S3 and the polls of SQS.
 */
export type Lane = "prompt" | "lasting"

export interface Call {
  /** Told how many bytes of the body were handed to the socket, by each attempt from 0. */
  readonly onSent: ((bytes: number) => void) | undefined
  /** Whether the reply's body is read as it arrives. Otherwise it is whole before the SDK looks at it. */
  readonly streams: boolean
  /** Which connections it takes. */
  readonly lane: Lane
  /** Ends the attempt that is under way; undefined while there is none. */
  abort: (() => void) | undefined
  /** No attempt may begin any more. */
  over: boolean
  /** Called when the SDK is asked for an attempt, or for what came of one: it may never answer. */
  waits: () => void
  /** Called when it is over. */
  readonly onOver: Set<() => void>
  /** Whether the request handler has seen it. */
  met: boolean
  /** Ends the call, if it has not ended: the attempt under way is aborted. */
  end: () => void
  /** Whether an attempt came so far that the service may have carried it out: its last byte was handed to the socket. */
  delivered: boolean
  /** Whether such an attempt ended without a reply that says what became of it, whatever the later ones say. */
  doubtful: boolean
  /** The status of the last reply, 0 before there is one, and its headers. */
  status: number
  headers: Readonly<Record<string, string>>
  /** Whether the last reply that was read as a whole had a body. */
  hasBody: boolean
  /** Called instead of sending the SDK's next request. */
  instead: Send | undefined
}

/** As the request handler does it. */
export type Send = (request: Request) => Promise<{ readonly response: Response }>

export const make = (
  options?: { readonly onSent?: Call["onSent"]; readonly streams?: boolean; readonly lane?: Lane }
): Call => {
  // Until it begins. V8 puts a literal that is given to a property in the old generation.
  const end = (): void => void (call.over = true)
  const call: Call = {
    onSent: options?.onSent,
    streams: options?.streams === true,
    lane: options?.lane ?? "prompt",
    abort: undefined,
    over: false,
    waits: constVoid,
    onOver: new Set(),
    met: false,
    end,
    delivered: false,
    doubtful: false,
    status: 0,
    headers: {},
    hasBody: false,
    instead: undefined
  }
  return call
}

export const attach = (command: { readonly input: object }, call: Call): void => {
  Object.defineProperty(command.input, CallId, { value: call, enumerable: true, configurable: true })
}

export const attachToRequest = (request: object, call: Call): void => {
  Object.defineProperty(request, CallId, { value: call, configurable: true })
}

/** The call of a command's input or of a request; none if somebody uses the client directly. */
export const of = (value: object): Call | undefined => (value as { readonly [CallId]?: Call })[CallId]

interface Arguments {
  readonly input: object
  readonly request: unknown
}

/** The last step before the request handler: the call goes from the input to the request. */
export const middleware = {
  options: { step: "deserialize", name: "betteraiCall", priority: "low" },
  run: <Args extends Arguments, Result>(next: (args: Args) => Promise<Result>) => (args: Args): Promise<Result> => {
    const call = of(args.input)
    if (call === undefined) return next(args)
    const request = args.request as Request
    const { instead } = call
    if (instead !== undefined) {
      call.instead = undefined
      return instead(request) as Promise<Result>
    }
    attachToRequest(request, call)
    return next(args)
  }
} as const
