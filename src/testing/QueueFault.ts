/** The faults that a plan for `Testing.faults(Queue, plan)` is made of. Each gives the error that production gives. */
import * as Duration from "effect/Duration"
import type { Cause } from "./internal/services/causes.ts"
import * as Causes from "./internal/services/causes.ts"
import type { When } from "./internal/services/plan.ts"
import type { QueueFault, QueueMethod } from "./internal/services/queueFaults.ts"

export type { QueueFault, QueueMethod, When }

type Request = Exclude<QueueMethod, "message">

const requests: ReadonlyArray<Request> = [
  "enqueue",
  "enqueueAll",
  "receive",
  "acknowledge",
  "release",
  "attributes",
  "purge",
  "check"
]

const failing = (name: string, when: When<Request>, cause: Cause, carriedOut = false): QueueFault => ({
  name,
  when,
  methods: requests,
  act: { _tag: "Fails", cause, carriedOut }
})

/** SQS asks for fewer requests (`Throttled`), also after the SDK's own retries. */
export const throttled = (when: When<Request> = {}): QueueFault => failing("throttled", when, Causes.throttling)

/** The account may not do this (`AccessDenied`). */
export const accessDenied = (when: When<Request> = {}): QueueFault => failing("accessDenied", when, Causes.accessDenied)

/** SQS answers 503 (`Unavailable`). Of what changes something the outcome is unknown: `carriedOut`, default false. */
export const unavailable = (
  { carriedOut, ...when }: When<Request> & { readonly carriedOut?: boolean | undefined } = {}
): QueueFault => failing("unavailable", when, Causes.unavailable, carriedOut)

/**
 * No answer comes (`ReadTimeout`). Of what changes something the outcome is unknown. `carriedOut`: whether SQS has done it,
 * which the program cannot know. Default true: the message of an `enqueue` is in the queue.
 */
export const timeout = (
  { carriedOut = true, ...when }: When<Request> & { readonly carriedOut?: boolean | undefined } = {}
): QueueFault => failing("timeout", when, Causes.timeout, carriedOut)

/** The connection is lost (`ConnectionLost`), otherwise as {@link timeout}. */
export const connectionLost = (
  { carriedOut = true, ...when }: When<Request> & { readonly carriedOut?: boolean | undefined } = {}
): QueueFault => failing("connectionLost", when, Causes.reset, carriedOut)

/**
 * SQS accepts a batch of `enqueueAll` but for these entries, counted from 0. With `senderFault`, the default, they are not
 * sent again; without, `enqueueAll` tries up to five times, so `times: 5` lets them fail.
 */
export const partOfBatch = (
  { code, entries, senderFault = true, ...when }: Omit<When<Request>, "method"> & {
    readonly entries: ReadonlyArray<number>
    /** Default true. */
    readonly senderFault?: boolean | undefined
    /** What SQS calls it. Default `InvalidMessageContents`, or `InternalError` if it is not the sender's fault. */
    readonly code?: string | undefined
  }
): QueueFault => ({
  name: "partOfBatch",
  when,
  methods: ["enqueueAll"],
  act: {
    _tag: "Refuses",
    entries,
    code: code ?? (senderFault ? "InvalidMessageContents" : "InternalError"),
    senderFault
  },
  problems: entries.length > 0 && entries.every((entry) => Number.isInteger(entry) && entry >= 0 && entry <= 9)
    ? []
    : ["entries must be whole numbers from 0 to 9"]
})

/** Which message it meets, counted as they are received, from 1. Default: the next one. */
export interface WhenMessage {
  readonly message?: number | undefined
  /** How many messages it meets, one after another. `Infinity`: all. Default 1. */
  readonly times?: number | undefined
}

const ofMessage = (
  name: string,
  { message, times }: WhenMessage,
  act: QueueFault["act"],
  problems: ReadonlyArray<string> = []
): QueueFault => ({ name, when: { call: message, times }, methods: ["message"], act, problems })

/** A message is received and its receiver never learns of it: it comes again when its visibility has ended. */
export const notReceived = (when: WhenMessage = {}): QueueFault => ofMessage("notReceived", when, { _tag: "Lost" })

/** A message is received a second time although it was acknowledged: what SQS calls at least once. */
export const receivedTwice = (when: WhenMessage = {}): QueueFault => ofMessage("receivedTwice", when, { _tag: "Twice" })

/** A message is received so much later, 1 s - 12 h, in whole seconds by the Clock. */
export const receivedLate = (by: Duration.DurationInput, when: WhenMessage = {}): QueueFault => {
  const seconds = Duration.toSeconds(by)
  return ofMessage(
    "receivedLate",
    when,
    { _tag: "Late", seconds },
    Number.isInteger(seconds) && seconds >= 1 && seconds <= 43_200 ? [] : ["by must be 1 s - 12 h, in whole seconds"]
  )
}
