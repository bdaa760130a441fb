/** A process that is busy itself: its event loop reads no answer for a while, and takes no connection for dead because of it. */
import { expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { faultOnStage, inUse, sleep } from "../../support/db/faults.ts"
import { layerOf, type Options, type Stage } from "../../support/db/stage.ts"
import { kills } from "../../support/db/throughProxy.ts"

const block = (millis: number) =>
  Effect.sync(() => {
    const end = performance.now() + millis
    while (performance.now() < end);
  })

/** Opens so many connections, which are idle then. */
const open = (count: number) =>
  Effect.gen(function*() {
    const all = yield* Effect.makeLatch()
    const hold = MainDb.withTransaction(Effect.zipRight(connectionId, all.await))
    yield* Effect.all([...Effect.replicate(hold, count), Effect.zipRight(inUse(count), all.open)], {
      concurrency: "unbounded"
    })
  })

/** Lets work send what it has to send, and blocks before an answer can be read. */
const blockDuring = <A, E, R>(work: Effect.Effect<A, E, R>, millis: number) =>
  Effect.gen(function*() {
    // After this, timers that are due come before the sockets.
    yield* Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))
    const fiber = yield* Effect.fork(work)
    // The fibers of the work run without the event loop's help.
    yield* Effect.repeatN(Effect.yieldNow(), 50)
    yield* block(millis)
    return yield* Fiber.join(fiber)
  })

const size = 5
const options: Options = { poolSize: size, maxOverflow: 0, poolTimeout: "5 seconds", connectTimeout: "3 seconds" }

/** Past the proxy, which runs in this process too. */
const test = (
  name: string,
  given: Options,
  body: (stage: Stage) => Effect.Effect<unknown, unknown, MainDb>
): void =>
  faultOnStage(
    `50 the event loop is late: ${name}`,
    (stage) => Effect.provide(body(stage), layerOf(stage.direct, { ...options, ...given }))
  )

const nothingLost = Effect.gen(function*() {
  yield* inUse(0)
  expect(yield* MainDb.stats).toMatchObject({
    size,
    opened: size,
    discarded: { broken: 0, pingFailed: 0, resetFailed: 0, invalidated: 0 }
  })
})

const all = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.all(Effect.replicate(effect, size), { concurrency: size })

test("pings have not failed", { poolPrePingSkip: 0 }, () =>
  Effect.gen(function*() {
    yield* open(size)
    yield* blockDuring(all(connectionId), 1_300)
    yield* nothingLost
  }))

test("resets have not failed", { poolPrePingSkip: "1 minute" }, () =>
  Effect.gen(function*() {
    yield* open(size)
    const set = MainDb.use((sql) => sql`SET @left = 1`)
    // The statements are answered, and the resets are sent, before the loop is blocked.
    const fiber = yield* Effect.fork(all(set))
    yield* Fiber.join(fiber)
    yield* block(1_300)
    yield* nothingLost
    expect(yield* MainDb.use((sql) => sql`SELECT @left AS seen`)).toEqual([{ seen: null }])
  }))

if (kills) {
  test(
    "a statement that was interrupted has been stopped",
    { poolPrePingSkip: "1 minute" },
    () =>
      Effect.gen(function*() {
        yield* open(size)
        const running = yield* Effect.fork(sleep(5))
        yield* Effect.sleep("200 millis")
        yield* blockDuring(Fiber.interrupt(running), 1_300)
        yield* nothingLost
      })
  )
}

test(
  "a dial has not timed out",
  { connectTimeout: "500 millis", poolTimeout: "10 seconds" },
  () =>
    Effect.gen(function*() {
      yield* blockDuring(connectionId, 700)
      expect(yield* MainDb.stats).toMatchObject({ opened: 1, dialFailures: 0 })
    })
)

test(
  "a borrower gets the connection that has come back in time",
  { poolSize: 1, poolTimeout: "500 millis" },
  () =>
    Effect.gen(function*() {
      yield* connectionId
      const holder = yield* Effect.fork(sleep(0.2))
      yield* inUse(1)
      yield* blockDuring(connectionId, 700)
      yield* Fiber.join(holder)
      expect((yield* MainDb.stats).timeouts).toBe(0)
    })
)

test(
  "again and again: no connection is closed for it",
  { poolPrePingSkip: 0, poolTimeout: "10 seconds" },
  () =>
    Effect.gen(function*() {
      yield* open(size)
      const work = Effect.forEach(
        Array.from({ length: 24 }, (_, i) => i),
        (i) => i % 2 === 0 ? connectionId : MainDb.use((sql) => Effect.as(sql`SET @left = ${i}`, i)),
        { concurrency: 12 }
      )
      const busy = yield* Effect.fork(Effect.forever(Effect.zipRight(block(300), Effect.sleep("1 millis"))))
      yield* work
      yield* Fiber.interrupt(busy)
      yield* nothingLost
    })
)
