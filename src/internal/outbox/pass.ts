/** One pass over a shard: reads it from its beginning, sends what may be sent, and deletes what was sent. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { DatabaseError } from "../../Errors.ts"
import { batchesOf } from "./batches.ts"
import { columns, type Entry, fromRow, type Row } from "./entry.ts"
import { laneOf } from "./holds.ts"
import type { Lease } from "./lease.ts"
import { isOrdered, type Pass, send, type Work } from "./send.ts"

/**
 * Messages that are read, and once they are sent deleted, at a time. What a relay that dies has sent of them is sent again.
 */
const PAGE = 200

/**
 * After so many pages with something to send, a pass ends and another begins: an earlier id may be committed after a later
 * one, and would wait as long as messages keep coming.
 */
const PAGES = 10

/** Batches of a shard that are sent at a time. */
const BATCHES = 4

/** The most groups and messages that a statement excludes. */
const EXCLUDED = 100

/** Whether there may be more to send at once. Not where nothing more may be sent: asking again would not change that. */
export const pass = (work: Work, lease: Lease, margin: number): Effect.Effect<boolean, DatabaseError> =>
  Effect.gen(function*() {
    yield* work.removal.flush(lease.shard)
    lease.holds.begin(work.now().monotonic)
    const maySend = (): boolean => !lease.isLeaving && lease.remaining(work.now()) > margin
    const state: Pass = { lease, maySend, stopped: new Set(), settled: new Set() }
    let after = 0
    // The newest that the first page could have shown. What is written later may follow, in its group, a message that was
    // committed since, with an id that is already behind: only the next pass sees both.
    let last = Number.MAX_SAFE_INTEGER
    let pages = 0
    while (maySend()) {
      const queues = [...work.queues.keys()].filter((queue) =>
        !state.stopped.has(queue) && !work.faults.has(queue, work.now().monotonic)
      )
      // A queue that comes back in the middle of a pass waits for the next one, or its groups would lose their order.
      for (const queue of work.queues.keys()) if (!queues.includes(queue)) state.stopped.add(queue)
      if (queues.length === 0) return false
      const { entries, newest } = yield* read(work, lease, queues, after, last)
      if (after === 0) last = newest
      if (entries.length === 0 && after === 0 && state.stopped.size === 0) yield* noteUnknown(work, lease)
      const lanes = lanesOf(work, lease, entries)
      if (lanes.size > 0) pages++
      while (lanes.size > 0) {
        if (!maySend()) return yield* Effect.as(work.removal.flush(lease.shard), false)
        const heads = [...lanes.values()].map((lane) => lane[0]!)
        // A failure of the database in one does not interrupt the others, whose outcome would then be unknown.
        const results = yield* Effect.forEach(batchesOf(heads), (batch) => Effect.either(send(work, state, batch)), {
          concurrency: BATCHES
        })
        for (const [name, lane] of lanes) {
          const { messageId, queue } = lane[0]!
          if (state.settled.has(messageId)) lane.shift()
          // What follows an unsent message of a group must not overtake it.
          else lane.length = 0
          if (lane.length === 0 || state.stopped.has(queue)) lanes.delete(name)
        }
        const failure = results.find(Either.isLeft)
        if (failure !== undefined) return yield* Effect.fail(failure.left)
      }
      yield* work.removal.flush(lease.shard)
      if (entries.length < PAGE) {
        if (state.stopped.size === 0) lease.holds.finish()
        return after > 0 && pages > 0
      }
      after = entries.at(-1)!.id
      if (pages === PAGES) return true
    }
    return false
  })

/**
 * A consistent read: it locks nothing, and waits for no transaction that has not committed its messages. Queues that this
 * relay does not know are not read.
 */
const read = (
  { database }: Work,
  lease: Lease,
  queues: ReadonlyArray<string>,
  after: number,
  last: number
): Effect.Effect<{ readonly entries: ReadonlyArray<Entry>; readonly newest: number }, DatabaseError> => {
  const { groups, ids } = lease.holds.excluded(EXCLUDED)
  const rows = database.use((sql) => {
    const statement = sql<Row & Newest>`SELECT ${columns(sql)},
        (SELECT MAX(id) FROM outbox WHERE shard = ${lease.shard}) AS newest
      FROM outbox WHERE shard = ${lease.shard} AND id > ${after} AND id <= ${last} AND queue IN ${sql.in(queues)}${
      ids.length === 0 ? sql.literal("") : sql` AND message_id NOT IN ${sql.in(ids)}`
    }${
      groups.length === 0
        ? sql.literal("")
        : sql` AND (group_id IS NULL OR NOT (${
          sql.or(groups.map(([queue, group]) => sql`queue = ${queue} AND group_id = ${group}`))
        }))`
    } ORDER BY id LIMIT ${sql.literal(String(PAGE))}`
    // A text with as many values as there are exclusions is not kept prepared.
    return groups.length === 0 && ids.length === 0 ? statement : statement.unprepared
  })
  return Effect.map(Effect.withTracerEnabled(rows, false), (rows) => ({
    entries: rows.map(fromRow),
    newest: Number(rows[0]?.newest ?? 0)
  }))
}

interface Newest {
  readonly newest: number | string | bigint
}

/** Messages for a queue that this relay does not have would wait for ever, and nobody would know. */
const noteUnknown = ({ database, queues, unknown }: Work, { shard }: Lease): Effect.Effect<void, DatabaseError> =>
  Effect.gen(function*() {
    const rows = yield* Effect.withTracerEnabled(
      database.use((sql) =>
        sql<{ queue: string }>`SELECT queue FROM outbox WHERE shard = ${shard} AND queue NOT IN ${
          sql.in([...queues.keys()])
        } LIMIT 1`
      ),
      false
    )
    const queue = rows[0]?.queue
    if (queue === undefined || unknown.has(queue)) return
    unknown.add(queue)
    yield* Effect.annotateLogs(
      Effect.logError("Outbox: there are messages for a queue that this relay does not have; add it to Outbox.layer"),
      { queue }
    )
  })

/** What may be sent, by lanes, each in the order of its ids. */
const lanesOf = (work: Work, lease: Lease, entries: ReadonlyArray<Entry>): Map<string, Array<Entry>> => {
  const lanes = new Map<string, Array<Entry>>()
  for (const entry of entries) {
    const name = laneOf(entry, isOrdered(work, entry.queue))
    if (lease.holds.has(name) || work.removal.has(lease.shard, entry.messageId)) continue
    const lane = lanes.get(name)
    if (lane === undefined) lanes.set(name, [entry])
    else lane.push(entry)
  }
  return lanes
}
