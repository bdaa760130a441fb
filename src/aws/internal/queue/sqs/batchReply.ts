/** The answers to the entries of a batch. An entry's id is its index: one receive may hold the same message twice. */
import type { ServiceError } from "../../../../Errors.ts"
import { toEntryError } from "../../errors/classify.ts"
import { malformedReply, metadataOf } from "./malformedReply.ts"

/** What of a reply is looked at; whatever answers may have sent it. */
export interface BatchReply {
  readonly Successful?: unknown
  readonly Failed?: unknown
  readonly $metadata?: unknown
}

export type Answer =
  | { readonly done: true; readonly entry: Readonly<Record<string, unknown>> }
  | { readonly done: false; readonly error: ServiceError }

/**
 * One answer for each entry, in the order of the entries. What was answered not at all, more than once, or in a way that
 * is not understood, is an error of that entry. None if the reply is not that of a batch. `doubtful`: an earlier attempt
 * may have been carried out, so that what failed now may be done.
 */
export const answersOf = (
  operation: string,
  count: number,
  reply: BatchReply,
  doubtful = false
): ReadonlyArray<Answer> | undefined => {
  if (!Array.isArray(reply.Successful) && !Array.isArray(reply.Failed)) return undefined
  const answers = Array.from({ length: count }, (): Answer | undefined => undefined)
  const doubled = new Set<number>()
  const add = (entry: unknown, answer: (entry: Readonly<Record<string, unknown>>) => Answer): void => {
    if (!isRecord(entry)) return
    const index = indexOf(entry["Id"], count)
    if (index === undefined) return
    if (answers[index] !== undefined) doubled.add(index)
    answers[index] = answer(entry)
  }
  for (const entry of listOf(reply.Successful)) add(entry, (entry) => ({ done: true, entry }))
  for (const entry of listOf(reply.Failed)) {
    add(entry, (entry) => ({ done: false, error: failure(operation, entry, reply, doubtful) }))
  }
  return answers.map((answer, index) => {
    if (answer === undefined) return notAnswered(operation, reply, "the reply does not say what became of this entry")
    return doubled.has(index) ? notAnswered(operation, reply, "the reply answers this entry more than once") : answer
  })
}

/** The id of an entry. */
export const entryId = (index: number): string => String(index)

const indexOf = (id: unknown, count: number): number | undefined => {
  const index = typeof id === "string" && /^\d{1,3}$/.test(id) ? Number(id) : -1
  return index >= 0 && index < count && entryId(index) === id ? index : undefined
}

const notAnswered = (operation: string, reply: BatchReply, detail: string): Answer => ({
  done: false,
  error: malformedReply(operation, detail, { outcome: "unknown", metadata: reply.$metadata })
})

const failure = (
  operation: string,
  { Code, Message, SenderFault }: Readonly<Record<string, unknown>>,
  reply: BatchReply,
  doubtful: boolean
): ServiceError => {
  const { attempts, requestId } = metadataOf(reply.$metadata)
  return toEntryError("SQS", operation, {
    code: Code,
    message: Message,
    senderFault: SenderFault === true,
    attempts,
    requestId,
    doubtful
  })
}

const listOf = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null
