/**
 * A worker as a deployment runs it, on one machine or on many: it counts the bytes of uploaded files once each, and lets
 * the customer know by another queue, if and only if that is committed.
 *
 * It takes the settings of the environment. On SIGTERM or SIGINT it stops receiving, finishes what it has begun, gives the
 * rest back, and ends within 40 seconds: give the process that long (`terminationGracePeriodSeconds: 45`).
 */
import { Inbox, MainDb, Outbox, Queue, Storage } from "@betterai/infrastructure"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer, Schedule, Schema } from "effect"

class EmailQueue extends Queue.Tag("EmailQueue", { prefix: "EMAIL_SQS" })<EmailQueue>() {}

class Uploaded extends Schema.Class<Uploaded>("Uploaded")({ customerId: Schema.Int, key: Schema.String }) {}

/** Runs in a transaction of MainDb, because of `dedupe`: the row, the message and the id of `Uploaded` are one commit. */
const measure = ({ customerId, key }: Uploaded) =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const outbox = yield* Outbox
    const { size } = yield* storage.head(key)
    yield* MainDb.use((sql) =>
      sql`INSERT INTO files ${sql.insert({ customer_id: customerId, storage_key: key, size })}`
    )
    yield* outbox.enqueue({ customerId, text: `${size} bytes have arrived` })
  })

const consumer = Effect.gen(function*() {
  yield* Inbox.check(MainDb)
  const queue = yield* Queue.of(Uploaded)
  return yield* queue.consume(({ payload }) => measure(payload), {
    name: "files",
    concurrency: 20,
    deadline: "2 minutes",
    dedupe: Inbox.dedupe(MainDb, { consumer: "files" }),
    // A file that is not there will not come back.
    isPoison: (error) => error._tag === "ServiceError" && error.reason === "ObjectNotFound"
  })
})

/** Ids are needed for as long as their messages can come again. */
const cleanUp = Inbox.cleanUp(MainDb).pipe(
  Effect.tap((count) => Effect.logInfo(`${count} old ids were deleted`)),
  Effect.catchAll((error) => Effect.logWarning("Old ids could not be deleted", error)),
  Effect.repeat(Schedule.spaced("1 day"))
)

const Live = Outbox.relay.pipe(
  Layer.provideMerge(Outbox.layer(MainDb, EmailQueue)),
  Layer.provideMerge(Layer.mergeAll(Storage.layer, Queue.layer, EmailQueue.layer, MainDb.layer))
)

NodeRuntime.runMain(
  Effect.forkScoped(cleanUp).pipe(Effect.zipRight(consumer), Effect.scoped, Effect.provide(Live))
)
