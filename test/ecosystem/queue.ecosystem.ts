/** SqlPersistedQueue of @effect/sql, under PersistedQueue of @effect/experimental. */
import * as PersistedQueue from "@effect/experimental/PersistedQueue"
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqlPersistedQueue from "@effect/sql/SqlPersistedQueue"
import { expect } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { eventually } from "../support/eventually.ts"
import { onBoth, Subject } from "./subjects.ts"

const queues = Layer.fresh(PersistedQueue.layer.pipe(
  Layer.provide(SqlPersistedQueue.layerStore({ pollInterval: "20 millis" }))
))

const open = (name: string) => PersistedQueue.make({ name, schema: Schema.Struct({ to: Schema.String }) })

onBoth("SqlPersistedQueue", (it) => {
  it.scoped("takes each element once, retries what failed, and gives up in the end", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* Effect.provide(
        Effect.gen(function*() {
          const queue = yield* open("one")
          yield* queue.offer({ to: "ada" }, { id: "first" })
          yield* queue.offer({ to: "somebody else" }, { id: "first" })
          yield* queue.offer({ to: "grace; SELECT 1 -- '" })
          const seen = [yield* queue.take(Effect.succeed), yield* queue.take(Effect.succeed)]
          expect(seen.map(({ to }) => to).sort()).toEqual(["ada", "grace; SELECT 1 -- '"])

          yield* queue.offer({ to: "alan" }, { id: "fails" })
          const attempts: Array<number> = []
          for (let i = 0; i < 3; i++) {
            const failure = queue.take((_, { attempts: number }) => {
              attempts.push(number)
              return Effect.fail("refused")
            }, { maxAttempts: 3 })
            expect(yield* Effect.flip(failure)).toBe("refused")
          }
          expect(attempts).toEqual([0, 1, 2])
          const nothing = yield* Effect.timeoutOption(queue.take(Effect.succeed, { maxAttempts: 3 }), "300 millis")
          expect(nothing._tag).toBe("None")
        }),
        queues
      )
      expect(
        yield* sql`SELECT id, completed, attempts FROM effect_queue WHERE id IN ('first', 'fails') ORDER BY sequence`
      )
        .toEqual([{ id: "first", completed: 1, attempts: 1 }, { id: "fails", completed: 0, attempts: 3 }])
    }))

  it.scoped("two processes share the work, and an element that was interrupted is taken again", () =>
    Effect.gen(function*() {
      const { another } = yield* Subject
      const done: Array<string> = []
      const work = Effect.flatMap(
        open("shared"),
        (queue) => Effect.forever(queue.take(({ to }) => Effect.as(Effect.sync(() => done.push(to)), Effect.void)))
      )
      const names = Array.from({ length: 40 }, (_, index) => `person ${index}`)
      // One that is interrupted after it has acquired an element, and before it gives it, keeps it for two minutes.
      const given = yield* Deferred.make<void>()
      const never = () => Effect.zipRight(Deferred.succeed(given, undefined), Effect.never)
      const slow = yield* Effect.fork(Effect.provide(
        Effect.flatMap(
          open("shared"),
          (queue) => Effect.zipRight(queue.offer({ to: "interrupted" }), queue.take(never))
        ),
        queues
      ))
      yield* Deferred.await(given)
      yield* Fiber.interrupt(slow)
      yield* Effect.forkScoped(Effect.provide(work, queues))
      yield* Effect.forkScoped(Effect.provide(work, Layer.provide(queues, another)))
      const queue = yield* Effect.provide(open("shared"), yield* Layer.build(queues))
      yield* Effect.forEach(names, (to) => queue.offer({ to }), { concurrency: "unbounded" })
      yield* eventually(Effect.sync(() => expect(done).toHaveLength(41)), "10 seconds")
      expect([...done].sort()).toEqual([...names, "interrupted"].sort())
    }))
})
