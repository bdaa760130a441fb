/** Places orders, each with its message, in one transaction. Some of them are rolled back on purpose. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { randomUUID } from "node:crypto"
import { MainDb } from "../../src/db/Database.ts"
import { DatabaseError, type ServiceError } from "../../src/Errors.ts"
import { Outbox } from "../../src/Outbox.ts"
import { Events, Jobs, type Kind, messagesOf, messagesSetting, tell } from "./model.ts"

const FIBERS = 4

/** The most orders of a transaction. */
const MOST = 4

/** All orders take so long at least, or few processes would be killed meanwhile. In milliseconds. */
const SHORTEST = 15_000

interface Lane {
  readonly kind: Kind
  readonly lane: number
}

class OnPurpose extends Data.TaggedError("OnPurpose") {}

/** One order and its message, in the open transaction. */
const place = ({ kind, lane }: Lane, seq: number): Effect.Effect<void, DatabaseError | ServiceError, MainDb | Outbox> =>
  Effect.gen(function*() {
    const outbox = yield* Outbox
    const order = randomUUID()
    const { id } = yield* outbox.enqueue(
      { order, lane, seq },
      kind === "jobs" ? { queue: Jobs } : { queue: Events, messageGroupId: `lane-${lane}` }
    )
    yield* MainDb.use((sql) => sql`INSERT INTO orders ${sql.insert({ id: order, kind, lane, seq, message_id: id })}`)
  })

/** Some orders that are rolled back to a savepoint, while the transaction around them goes on. */
const inVain = (lane: Lane, seq: number): Effect.Effect<void, DatabaseError | ServiceError, MainDb | Outbox> =>
  MainDb.withTransaction(Effect.zipRight(place(lane, seq), Effect.fail(new OnPurpose()))).pipe(
    Effect.catchTag("OnPurpose", () => Effect.sync(() => tell("rolled back")))
  )

/** Places the next orders of the lane. Gives whether there are more to place. */
const next = (lane: Lane, last: number): Effect.Effect<boolean, DatabaseError | ServiceError, MainDb | Outbox> =>
  MainDb.withTransaction(Effect.gen(function*() {
    const [row] = yield* MainDb.use((sql) =>
      sql<{ seq: number }>`SELECT seq FROM lanes WHERE kind = ${lane.kind} AND lane = ${lane.lane} FOR UPDATE`
    )
    const first = row!.seq + 1
    const end = Math.min(last, row!.seq + (yield* Random.nextIntBetween(1, MOST + 1)))
    for (let seq = first; seq <= end; seq++) {
      if ((yield* Random.next) < 0.1) yield* inVain(lane, seq)
      yield* place(lane, seq)
    }
    yield* MainDb.use((sql) => sql`UPDATE lanes SET seq = ${end} WHERE kind = ${lane.kind} AND lane = ${lane.lane}`)
    if ((yield* Random.next) < 0.1) return yield* new OnPurpose()
    return end < last
  })).pipe(
    Effect.catchTag("OnPurpose", () => Effect.as(Effect.sync(() => tell("rolled back")), true))
  )

/** Ends when there are as many orders as there shall be. Killed and started again, it goes on where it was. */
export const producer: Effect.Effect<void, unknown, MainDb | Outbox> = Effect.gen(function*() {
  const messages = yield* messagesSetting
  const pause = 2 * SHORTEST / (messages / (MOST / 2) / FIBERS)
  const rows = yield* Effect.retry(
    MainDb.use((sql) => sql<Lane & { readonly seq: number }>`SELECT kind, lane, seq FROM lanes`),
    Schedule.spaced("100 millis")
  )
  const lanes = rows.filter(({ lane, seq }) => seq < messagesOf(lane, messages))
  yield* Effect.forEach(Array.from({ length: FIBERS }, (_, fiber) => fiber), (fiber) =>
    Effect.gen(function*() {
      const open = lanes.filter((_, index) => index % FIBERS === fiber)
      while (open.length > 0) {
        yield* Effect.sleep((yield* Random.next) * pause)
        const at = yield* Random.nextIntBetween(0, open.length)
        const lane = open[at]!
        // After a commit whose outcome is unknown the row of the lane tells what is there.
        const more = yield* Effect.catchAll(next(lane, messagesOf(lane.lane, messages)), (error) =>
          error instanceof DatabaseError
            ? Effect.as(Effect.logWarning("A transaction failed", error), true)
            : Effect.fail(error))
        if (!more) {
          open.splice(at, 1)
        }
      }
    }), { concurrency: "unbounded", discard: true })
  yield* Effect.sync(() => tell("done"))
})
