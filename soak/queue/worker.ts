/** Handles the messages of both queues, each once. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { ConsumeOptions, Dedupe, Received } from "../../src/aws/Queue.ts"
import { MainDb } from "../../src/db/Database.ts"
import type { DatabaseError, ServiceError } from "../../src/Errors.ts"
import * as Inbox from "../../src/Inbox.ts"
import { Events, Jobs, type Kind, Placed, tell } from "./model.ts"

/** The time of a handler, which is also that between the inserts of the id and of the effect. In milliseconds. */
const WORK = 30

const handler = (kind: Kind) => ({ payload: { lane, order, seq } }: Received<Placed>) =>
  Effect.gen(function*() {
    // Messages of a lane that are handled at a time get their numbers in the order in which they commit.
    if (kind === "events") yield* MainDb.use((sql) => sql`UPDATE progress SET seq = ${seq} WHERE lane = ${lane}`)
    yield* Effect.sleep(yield* Random.nextIntBetween(0, WORK))
    yield* MainDb.use((sql) => sql`INSERT INTO effects ${sql.insert({ order_id: order, kind, lane, seq })}`)
  })

/** The same, and tells of every delivery. */
const telling = (dedupe: Dedupe<DatabaseError, MainDb>): Dedupe<DatabaseError, MainDb> => ({
  ...dedupe,
  once: (id, effect) =>
    Effect.suspend(() => {
      tell("delivered")
      return Effect.tap(dedupe.once(id, effect), (result) => {
        if (Option.isNone(result)) tell("swallowed")
      })
    })
})

const options = (consumer: Kind): ConsumeOptions<DatabaseError, MainDb> => ({
  name: consumer,
  concurrency: 10,
  visibility: "3 seconds",
  waitTime: "2 seconds",
  deadline: "20 seconds",
  drainTimeout: "10 seconds",
  retry: Schedule.spaced("1 second"),
  dedupe: telling(Inbox.dedupe(MainDb, { consumer }))
})

export const worker: Effect.Effect<void, ServiceError, Jobs | Events | MainDb> = Effect.gen(function*() {
  const jobs = yield* Jobs.of(Placed)
  const events = yield* Events.of(Placed)
  yield* Effect.all([
    jobs.consume(handler("jobs"), options("jobs")),
    events.consume(handler("events"), options("events"))
  ], { concurrency: 2, discard: true })
})
