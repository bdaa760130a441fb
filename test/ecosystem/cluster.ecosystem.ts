/** @effect/cluster's message and runner storage, and a durable workflow on them. */
import * as ClusterSchema from "@effect/cluster/ClusterSchema"
import * as ClusterWorkflowEngine from "@effect/cluster/ClusterWorkflowEngine"
import * as Entity from "@effect/cluster/Entity"
import * as Runner from "@effect/cluster/Runner"
import * as RunnerAddress from "@effect/cluster/RunnerAddress"
import * as RunnerStorage from "@effect/cluster/RunnerStorage"
import * as ShardId from "@effect/cluster/ShardId"
import * as ShardingConfig from "@effect/cluster/ShardingConfig"
import * as SingleRunner from "@effect/cluster/SingleRunner"
import * as SqlRunnerStorage from "@effect/cluster/SqlRunnerStorage"
import * as Rpc from "@effect/rpc/Rpc"
import * as SqlClient from "@effect/sql/SqlClient"
import { expect } from "@effect/vitest"
import * as Activity from "@effect/workflow/Activity"
import * as DurableClock from "@effect/workflow/DurableClock"
import * as DurableDeferred from "@effect/workflow/DurableDeferred"
import * as Workflow from "@effect/workflow/Workflow"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as PrimaryKey from "effect/PrimaryKey"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { eventually } from "../support/eventually.ts"
import { onBoth, Subject } from "./subjects.ts"

const quick = {
  shardsPerGroup: 3,
  entityMessagePollInterval: "100 millis",
  entityReplyPollInterval: "50 millis",
  sendRetryInterval: "20 millis",
  refreshAssignmentsInterval: "100 millis",
  entityTerminationTimeout: "1 second"
} as const

const addressOf = (port: number) => RunnerAddress.make("127.0.0.1", port)
const runnerOf = (port: number) => Runner.make({ address: addressOf(port), groups: ["default"], weight: 1 })
const shards = [1, 2, 3].map((id) => ShardId.make("default", id))
const idsOf = (shards: ReadonlyArray<ShardId.ShardId>) => shards.map(({ id }) => id).sort()

for (const withoutAdvisory of [false, true]) {
  const storage = Layer.fresh(SqlRunnerStorage.layerWith({ prefix: withoutAdvisory ? "rows" : "advisory" })).pipe(
    Layer.provide(ShardingConfig.layer({
      ...quick,
      runnerAddress: Option.some(addressOf(1)),
      shardLockDisableAdvisory: withoutAdvisory
    }))
  )
  onBoth(`SqlRunnerStorage ${withoutAdvisory ? "without" : "with"} advisory locks`, (it) => {
    it.scoped("registers runners, and a shard belongs to one of them", () =>
      Effect.gen(function*() {
        const { another } = yield* Subject
        const one = yield* Effect.provide(RunnerStorage.RunnerStorage, yield* Layer.build(storage))
        const otherScope = yield* Scope.make()
        const other = yield* Effect.provide(
          RunnerStorage.RunnerStorage,
          yield* Layer.build(Layer.provide(storage, another)).pipe(Scope.extend(otherScope))
        )
        const first = yield* one.register(runnerOf(1), true)
        expect(typeof first).toBe("number")
        expect(yield* one.register(runnerOf(1), true)).toBe(first)
        expect(yield* other.register(runnerOf(2), true)).not.toBe(first)
        yield* one.setRunnerHealth(addressOf(2), false)
        const runners = yield* one.getRunners
        expect(runners.map(([{ address }, healthy]) => [address.port, healthy]).sort()).toEqual([[1, true], [2, false]])

        expect(idsOf(yield* one.acquire(addressOf(1), shards.slice(0, 2)))).toEqual([1, 2])
        expect(idsOf(yield* one.acquire(addressOf(1), shards.slice(0, 2)))).toEqual([1, 2])
        expect(idsOf(yield* other.acquire(addressOf(2), shards))).toEqual([3])
        expect(idsOf(yield* one.refresh(addressOf(1), shards.slice(0, 2)))).toEqual([1, 2])
        yield* one.release(addressOf(1), shards[0]!)
        expect(idsOf(yield* other.acquire(addressOf(2), shards))).toEqual([1, 3])
        yield* other.releaseAll(addressOf(2))
        expect(idsOf(yield* one.acquire(addressOf(1), shards))).toEqual([1, 2, 3])
        yield* one.releaseAll(addressOf(1))
        yield* one.unregister(addressOf(1))
        expect((yield* other.getRunners).map(([{ address }]) => address.port)).toEqual([2])
        yield* Scope.close(otherScope, Exit.void)
      }))

    if (!withoutAdvisory) {
      it.scoped("the shards of a process that is gone are free", () =>
        Effect.gen(function*() {
          const { another } = yield* Subject
          const scope = yield* Scope.make()
          const gone = yield* Effect.provide(
            RunnerStorage.RunnerStorage,
            yield* Layer.build(Layer.provide(storage, another)).pipe(Scope.extend(scope))
          )
          const one = yield* Effect.provide(RunnerStorage.RunnerStorage, yield* Layer.build(storage))
          expect(idsOf(yield* gone.acquire(addressOf(2), shards))).toEqual([1, 2, 3])
          expect(yield* one.acquire(addressOf(1), shards)).toEqual([])
          yield* Scope.close(scope, Exit.void)
          expect(idsOf(yield* one.acquire(addressOf(1), shards))).toEqual([1, 2, 3])
        }))
    }
  })
}

class Add extends Schema.TaggedRequest<Add>()("Add", {
  success: Schema.Number,
  failure: Schema.String,
  payload: { id: Schema.String, amount: Schema.Number }
}) {
  [PrimaryKey.symbol]() {
    return this.id
  }
}

const Counter = Entity.make("Counter", [
  Rpc.fromTaggedRequest(Add).annotate(ClusterSchema.Persisted, true),
  Rpc.make("Count", { success: Schema.Number, payload: { upTo: Schema.Number }, stream: true })
    .annotate(ClusterSchema.Persisted, true)
])

/** Runs an effect with a cluster of one runner, which ends with it: a process that starts and stops. */
const process = <A, E, R, RE, RR>(effect: Effect.Effect<A, E, R>, services: Layer.Layer<RE, never, RR>) =>
  effect.pipe(
    Effect.provide(
      Layer.fresh(services.pipe(Layer.provideMerge(Layer.orDie(SingleRunner.layer({ shardingConfig: quick })))))
    ),
    // While it starts it warns that it is not healthy yet.
    Logger.withMinimumLogLevel(LogLevel.Error)
  )

onBoth("an entity on SqlMessageStorage", (it) => {
  it.scoped("handles a message once, keeps its reply, and streams", () =>
    Effect.gen(function*() {
      let handled = 0
      const counter = Counter.toLayer(Effect.gen(function*() {
        let total = 0
        yield* Effect.void
        return {
          Add: ({ payload: { amount } }) =>
            Effect.suspend(() => {
              handled++
              return amount < 0 ? Effect.fail("negative") : Effect.succeed(total += amount)
            }),
          Count: ({ payload: { upTo } }) => Stream.range(1, upTo)
        }
      }))
      yield* process(
        Effect.gen(function*() {
          const client = (yield* Counter.client)("one'; DROP TABLE cluster_messages; --")
          expect(yield* client.Add(new Add({ id: "a", amount: 2 }))).toBe(2)
          expect(yield* client.Add(new Add({ id: "a", amount: 2 }))).toBe(2)
          expect(yield* client.Add(new Add({ id: "b", amount: 3 }))).toBe(5)
          expect(yield* Effect.flip(client.Add(new Add({ id: "c", amount: -1 })))).toBe("negative")
          expect([...yield* Stream.runCollect(client.Count({ upTo: 50 }))]).toHaveLength(50)
        }),
        counter
      )
      expect(handled).toBe(3)
      // Another process finds the replies.
      yield* process(
        Effect.gen(function*() {
          const client = (yield* Counter.client)("one'; DROP TABLE cluster_messages; --")
          expect(yield* client.Add(new Add({ id: "b", amount: 3 }))).toBe(5)
        }),
        counter
      )
      expect(handled).toBe(3)
      const sql = yield* SqlClient.SqlClient
      const indexes = yield* sql<{ name: string }>`SELECT DISTINCT INDEX_NAME AS name FROM information_schema.statistics
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'cluster_messages' ORDER BY 1`
      expect(indexes.map(({ name }) => name)).toEqual(expect.arrayContaining([
        "cluster_messages_request_id_idx",
        "cluster_messages_shard_idx"
      ]))
    }), 60_000)
})

onBoth("a durable workflow", (it) => {
  it.scoped("goes on in another process where it stopped, and does nothing twice", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE steps (id INT AUTO_INCREMENT PRIMARY KEY, step VARCHAR(40))`
      const step = (name: string) =>
        Activity.make({
          name,
          success: Schema.Number,
          execute: Effect.orDie(Effect.as(sql`INSERT INTO steps (step) VALUES (${name})`, 1))
        })
      const Approval = DurableDeferred.make("Approval", { success: Schema.String })
      const Order = Workflow.make({
        name: "Order",
        payload: { id: Schema.String },
        idempotencyKey: ({ id }) => id,
        success: Schema.String
      })
      const orders = Order.toLayer(Effect.fnUntraced(function*() {
        yield* step("reserve")
        yield* DurableClock.sleep({ name: "pause", duration: "200 millis", inMemoryThreshold: 0 })
        const by = yield* DurableDeferred.await(Approval)
        yield* step("ship")
        return `approved by ${by}`
      })).pipe(Layer.provideMerge(ClusterWorkflowEngine.layer))
      const payload = { id: "order 1" }
      const steps = Effect.map(sql<{ step: string }>`SELECT step FROM steps ORDER BY id`, (rows) =>
        rows.map((row) => row.step))

      yield* process(
        Effect.gen(function*() {
          const running = yield* Effect.fork(Order.execute(payload))
          yield* eventually(
            Effect.map(steps, (found) =>
              expect(found).toEqual(["reserve"])),
            "10 seconds"
          )
          yield* Fiber.interruptFork(running)
        }),
        orders
      )
      const result = yield* process(
        Effect.gen(function*() {
          const running = yield* Effect.fork(Order.execute(payload))
          const token = yield* DurableDeferred.tokenFromPayload(Approval, { workflow: Order, payload })
          yield* Effect.sleep("500 millis")
          yield* DurableDeferred.succeed(Approval, { token, value: "Ada" })
          return yield* Fiber.join(running)
        }),
        orders
      )
      expect(result).toBe("approved by Ada")
      expect(yield* process(Order.execute(payload), orders)).toBe("approved by Ada")
      expect(yield* steps).toEqual(["reserve", "ship"])
    }), 60_000)
})
