/** From transactions through outbox, SQS and consumers to transactions: each message takes effect once, in its order. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Schedule from "effect/Schedule"
import { Queue } from "../src/aws/Queue.ts"
import { MainDb } from "../src/db/Database.ts"
import * as Inbox from "../src/Inbox.ts"
import { Outbox } from "../src/Outbox.ts"
import { Fauxqs, queueUrl, standardQueue } from "./support/aws/fauxqs.ts"
import { settings } from "./support/aws/settings.ts"
import { layerOf, onStage } from "./support/db/stage.ts"
import { server } from "./support/db/testServer.ts"
import { eventually } from "./support/eventually.ts"
import { enqueue, quick, running } from "./support/outbox.ts"

const GROUPS = 8
const MESSAGES = 160

for (const name of ["strict.fifo", standardQueue]) {
  describe(`from commit to commit, by ${name}`, () => {
    it.live(
      "each message takes effect once, while connections of the database are cut",
      () =>
        Effect.flatMap(server, (at) =>
          onStage(at, (stage) =>
            Effect.gen(function*() {
              const sqs = yield* Effect.map(Layer.build(Fauxqs.layer), (context) => context.unsafeMap.get(Fauxqs.key))
              const queue = Layer.provide(
                Queue.layer,
                settings(`http://127.0.0.1:${sqs.port}`, { AWS_SQS_QUEUE_URL: queueUrl(sqs, name) })
              )
              const process = (url: string) =>
                Outbox.relayWith(quick).pipe(
                  Layer.provideMerge(Outbox.layer(MainDb, Queue)),
                  Layer.provideMerge(Layer.merge(layerOf(url, { poolSize: 8 }), queue)),
                  Layer.provideMerge(Logger.minimumLogLevel(LogLevel.None))
                )
              yield* Effect.provide(
                Effect.zipRight(
                  MainDb.migrate(
                    Effect.map(Effect.all([Outbox.migrations, Inbox.migrations]), ([[outbox], [inbox]]) => [
                      outbox!,
                      [2, inbox![1], inbox![2]] as const
                    ])
                  ),
                  MainDb.use((sql) =>
                    sql`CREATE TABLE effects (id INT AUTO_INCREMENT PRIMARY KEY, grp VARCHAR(9), n INT, instance INT)`
                  )
                ),
                layerOf(stage.direct)
              )
              const apps = yield* Effect.all([running(process(stage.url)), running(process(stage.url))])

              // Each consumes, and each writes half of the groups.
              yield* Effect.forEach(apps, ({ get, run }, instance) =>
                Effect.forkScoped(run(
                  Logger.withMinimumLogLevel(LogLevel.None)(
                    get(Queue).consume(({ payload }) => {
                      const { group, n } = payload as { readonly group: string; readonly n: number }
                      return MainDb.use((sql) => sql`INSERT INTO effects ${sql.insert({ grp: group, n, instance })}`)
                    }, {
                      dedupe: Inbox.dedupe(MainDb, { consumer: "test" }),
                      waitTime: "1 second",
                      drainTimeout: "2 seconds",
                      retry: Schedule.spaced("50 millis")
                    })
                  )
                )))
              const write = (instance: number) =>
                Effect.forEach(
                  Array.from({ length: MESSAGES / 2 }, (_, n) => n),
                  (n) =>
                    MainDb.withTransaction(
                      enqueue({ group: `${instance}-${n % GROUPS}`, n }, {
                        messageGroupId: `${instance}-${n % GROUPS}`
                      }),
                      { retries: 10 }
                    ),
                  { discard: true }
                )
              const direct = yield* running(
                Outbox.layer(MainDb, Queue).pipe(Layer.provide(queue), Layer.provideMerge(layerOf(stage.direct)))
              )
              const cutting = yield* Effect.forkScoped(
                Effect.repeat(Effect.delay(stage.proxy.reset, "300 millis"), Schedule.recurs(6))
              )
              yield* direct.run(Effect.all([write(0), write(1)], { concurrency: 2 }))
              yield* cutting.await
              const effects = Effect.orDie(direct.run(
                MainDb.use((sql) => sql<{ grp: string; n: number }>`SELECT grp, n FROM effects ORDER BY id`)
              ))
              yield* eventually(
                Effect.map(effects, (rows) => expect(rows.length).toBeGreaterThanOrEqual(MESSAGES)),
                "40 seconds"
              )
              const rows = yield* effects
              expect(new Set(rows.map(({ grp, n }) => `${grp} ${n}`)).size).toBe(MESSAGES)
              expect(rows).toHaveLength(MESSAGES)
              if (name.endsWith(".fifo")) {
                const last = new Map<string, number>()
                for (const { grp, n } of rows) {
                  expect(n).toBeGreaterThan(last.get(grp) ?? -1)
                  last.set(grp, n)
                }
              }
              const { backlog } = yield* direct.get(Outbox).status
              expect(backlog.messages).toBe(0)
            }))),
      60_000
    )
  })
}
