/**
 * Payloads beyond what SQS accepts: they are stored in Storage, and the message says where. A decorator of the backend, so
 * that everything above it works with messages of any size.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { ServiceError } from "../../../../Errors.ts"
import { invalidInput } from "../../errors/invalidInput.ts"
import type { StorageService } from "../../storage/service.ts"
import type { QueueBackend, RawMessage } from "../backend.ts"
import { MAX_SIZE } from "../limits.ts"
import * as Message from "../message.ts"
import type { LargePayloadOptions } from "../model.ts"
import { groupOf } from "../receiving/received.ts"
import * as Pointer from "./pointer.ts"
import type { Result } from "./window.ts"

/** What is used of Storage. */
export type PayloadStore = Pick<StorageService, "bucket" | "put" | "readBytes" | "delete" | "deleteMany">

/** In bytes. */
const MAX_BYTES = 64 * 1024 * 1024

/** A message whose payload is stored. */
interface Stored {
  readonly key: string
  /** The message with the pointer. */
  readonly sent: Message.Message
  /** Whether it may be in the queue: then its object stays. */
  doubtful: boolean
}

export const wrap = (backend: QueueBackend, storage: PayloadStore, options: LargePayloadOptions = {}): QueueBackend => {
  const {
    above = MAX_SIZE,
    deleteAfterAck = false,
    maxBytes = MAX_BYTES,
    prefix = `sqs/${backend.name}/`
  } = options
  /** A message that is sent again points to the same object, so that a queue that deduplicates by content sees it. */
  const storedOf = new WeakMap<Message.Message, Stored>()

  /** The message to send: with a pointer, if it is large. */
  const store = (message: Message.Message): Effect.Effect<Message.Message, ServiceError> => {
    const isStored = Message.sizeOf(message) > above
    const wrong = Pointer.wrongAttributes(message.attributes, isStored)
    if (wrong !== undefined) return refuse("attributes", wrong)
    if (!isStored) return Effect.succeed(message)
    const known = storedOf.get(message)
    if (known !== undefined) return Effect.succeed(known.sent)
    const bytes = Buffer.from(message.body)
    const key = `${prefix}${globalThis.crypto.randomUUID()}`
    const sent: Message.Message = {
      ...message,
      body: Pointer.format({ bucket: storage.bucket, key }),
      attributes: { ...message.attributes, [Pointer.SIZE]: { type: "Number", value: String(bytes.byteLength) } }
    }
    if (Message.sizeOf(sent) > MAX_SIZE) return refuse("attributes", "are too large to be sent")
    return storage.put(key, bytes, { contentType: "application/json" }).pipe(
      // It may be there: its message never will be.
      Effect.tapError((error) => error.outcome === undefined ? Effect.void : discard([key])),
      Effect.mapError(notSent),
      Effect.map(() => {
        storedOf.set(message, { key, sent, doubtful: false })
        return sent
      })
    )
  }

  /** Called before a message is sent. Gives what is to be done if it has certainly not been sent. */
  const sending = (message: Message.Message): Effect.Effect<void> => {
    const stored = storedOf.get(message)
    if (stored === undefined || stored.doubtful) return Effect.void
    stored.doubtful = true
    return Effect.suspend(() => {
      storedOf.delete(message)
      return discard([stored.key])
    })
  }

  const discard = (keys: ReadonlyArray<string>): Effect.Effect<void> => {
    const [first, ...others] = keys
    if (first === undefined) return Effect.void
    const failed = (error: ServiceError) =>
      Effect.logWarning(`The payload of a message could not be deleted: ${error.message}`)
    return others.length === 0
      ? Effect.catchAll(storage.delete(first), failed)
      : Effect.matchEffect(storage.deleteMany(keys), {
        onFailure: failed,
        onSuccess: (report) => Effect.forEach(report.failed, ({ error }) => failed(error), { discard: true })
      })
  }

  /** None if it could not be loaded for now: it comes again when its visibility ends. */
  const load = (raw: RawMessage): Effect.Effect<RawMessage | undefined> => {
    if (!Pointer.isMarked(raw.attributes)) return Effect.succeed(raw)
    const unreadable = (why: string): RawMessage => ({ ...raw, body: "", unreadable: why })
    const pointer = Pointer.parse(raw.body)
    if (pointer === undefined) return Effect.succeed(unreadable("is marked as stored elsewhere and holds no pointer"))
    // Who may send to the queue must not choose what is read, or deleted, with the rights of this process.
    if (pointer.bucket !== storage.bucket || !pointer.key.startsWith(prefix)) {
      return Effect.succeed(unreadable("points to another place than the payloads of this queue"))
    }
    return Effect.matchEffect(storage.readBytes(pointer.key, { maxBytes }), {
      onSuccess: (bytes) => {
        const body = textOf(bytes)
        return Effect.succeed(
          body === undefined ? unreadable("points to an object that is no text") : {
            ...raw,
            body,
            attributes: Pointer.withoutMark(raw.attributes),
            receipt: deleteAfterAck ? Pointer.receiptWith(raw.receipt, pointer.key) : raw.receipt
          }
        )
      },
      onFailure: (error): Effect.Effect<RawMessage | undefined> =>
        error.reason === "ObjectNotFound" || error.reason === "PayloadTooLarge" || error.reason === "InvalidInput"
          ? Effect.succeed(unreadable(`points to an object that cannot be read (${error.reason})`))
          : Effect.as(Effect.logWarning(`The payload of a message could not be loaded: ${error.message}`), undefined)
    })
  }

  return {
    ...backend,
    maxSize: maxBytes,
    storesAbove: above,

    send: (message) =>
      Effect.flatMap(store(message), (sent) => {
        const undo = sending(message)
        return Effect.tapError(backend.send(sent), (error) => error.outcome === undefined ? undo : Effect.void)
      }),

    sendBatch: (messages) =>
      Effect.flatMap(
        Effect.forEach(messages, (message) => Effect.either(store(message)), { concurrency: "unbounded" }),
        (outcomes): Effect.Effect<ReadonlyArray<Result>, ServiceError> => {
          const sent = outcomes.flatMap((outcome) => Either.isRight(outcome) ? [outcome.right] : [])
          if (sent.length === 0) {
            return Effect.succeed(
              outcomes.flatMap((outcome) => Either.isLeft(outcome) ? [Either.left(outcome.left)] : [])
            )
          }
          const undoOf = messages.map((message, index) =>
            Either.isRight(outcomes[index] as Either.Either<unknown>) ? sending(message) : Effect.void
          )
          return Effect.matchEffect(backend.sendBatch(sent), {
            onFailure: (error) =>
              Effect.zipRight(error.outcome === undefined ? Effect.all(undoOf) : Effect.void, Effect.fail(error)),
            onSuccess: (results) => {
              let next = 0
              const all = outcomes.map((outcome): Result =>
                Either.isRight(outcome) ? results[next++] as Result : Either.left(outcome.left)
              )
              const failed = all.flatMap((result, index) =>
                Either.isLeft(result) && result.left.outcome === undefined ? [undoOf[index] ?? Effect.void] : []
              )
              return Effect.as(Effect.all(failed, { concurrency: "unbounded" }), all)
            }
          })
        }
      ),

    receive: (request) =>
      Effect.flatMap(
        backend.receive(request),
        (messages) =>
          messages.some(({ attributes }) => Pointer.isMarked(attributes))
            ? Effect.map(
              Effect.timed(Effect.forEach(messages, load, { concurrency: "unbounded" })),
              ([time, loaded]) =>
                inOrder(messages, loaded).map((message) => ({ ...message, loadedIn: Duration.toMillis(time) }))
            )
            : Effect.succeed(messages)
      ),

    delete: (receipts) => {
      const split = receipts.map(Pointer.splitReceipt)
      return Effect.tap(
        backend.delete(split.map(({ receipt }) => receipt)),
        (errors) =>
          discard(split.flatMap(({ key }, index) => key !== undefined && errors[index] === undefined ? [key] : []))
      )
    },

    setVisibility: (changes) =>
      backend.setVisibility(
        changes.map(({ receipt, seconds }) => ({ receipt: Pointer.splitReceipt(receipt).receipt, seconds }))
      )
  }
}

/** Those that were loaded; of a group of a FIFO queue, those before the first that was not. */
const inOrder = (
  messages: ReadonlyArray<RawMessage>,
  loaded: ReadonlyArray<RawMessage | undefined>
): ReadonlyArray<RawMessage> => {
  const stopped = new Set<string>()
  return messages.flatMap((message, index) => {
    const group = groupOf(message)
    const one = loaded[index]
    if (group !== undefined && one === undefined) stopped.add(group)
    return one === undefined || (group !== undefined && stopped.has(group)) ? [] : [one]
  })
}

const refuse = (field: string, detail: string): Effect.Effect<never, ServiceError> =>
  Effect.fail(invalidInput("SQS", "enqueue", { field, detail }))

/** Whatever became of the object, the message was not sent. */
const notSent = (error: ServiceError): ServiceError =>
  error.outcome === undefined ? error : new ServiceError({ ...error, outcome: undefined })

const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}
