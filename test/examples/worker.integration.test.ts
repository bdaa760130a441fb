/** The worker of `examples/`, as a deployment starts and stops it. */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Queue } from "../../src/aws/Queue.ts"
import { Storage } from "../../src/aws/Storage.ts"
import { MainDb } from "../../src/db/Database.ts"
import * as Inbox from "../../src/Inbox.ts"
import { LocalStack } from "../../src/local/index.ts"
import { Outbox } from "../../src/Outbox.ts"
import { eventually } from "../support/eventually.ts"
import { realClock } from "../support/realClock.ts"

class EmailQueue extends Queue.Tag("EmailQueue", { prefix: "EMAIL_SQS" })<EmailQueue>() {}

const tables = Migrator.fromRecord({
  "1_inbox": Inbox.migration,
  "2_outbox": Outbox.migration,
  "3_files": Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.asVoid(
      sql`CREATE TABLE files (customer_id INT NOT NULL, storage_key VARCHAR(255) NOT NULL, size INT NOT NULL)`
    ))
})

/** The process, with the settings of the local stack. */
const worker = Effect.acquireRelease(
  Effect.map(LocalStack, ({ databaseUrls, queueUrls, settings }) => {
    const own = { ...databaseUrls, ...queueUrls, ...settings }
    const variables = Object.entries(own).map(([name, value]) => [
      name,
      Redacted.isRedacted(value) ? Redacted.value(value) : value
    ])
    const child = spawn(process.execPath, ["--import", "tsx", "examples/worker.ts"], {
      cwd: fileURLToPath(new URL("../..", import.meta.url)),
      env: { ...process.env, ...Object.fromEntries(variables) },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    child.stdout.on("data", (chunk) => output += String(chunk))
    child.stderr.on("data", (chunk) => output += String(chunk))
    return { child, output: () => output }
  }),
  ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
)

layer(
  Layer.mergeAll(Queue.layer, EmailQueue.layer, Storage.layer, MainDb.layer).pipe(
    Layer.provideMerge(LocalStack.layerWith({ queues: [EmailQueue] })),
    Layer.provideMerge(NodeContext.layer)
  ),
  { ...realClock, timeout: "2 minutes" }
)("the worker", (it) => {
  it.scoped("measures each file once, tells of it, and stops when it is told to", () =>
    Effect.gen(function*() {
      yield* MainDb.migrate(tables)
      const [queue, emails, storage] = yield* Effect.all([Queue, EmailQueue, Storage])
      const files = yield* Effect.forEach(
        [3, 5, 8],
        (size) => storage.uploadImage({ data: new Uint8Array(size), customerId: size, fileExtension: "png" })
      )
      for (const { key, size } of files) yield* queue.enqueue({ customerId: size, key })
      const { child, output } = yield* worker
      const sizes = MainDb.use((sql) => sql<{ readonly size: number }>`SELECT size FROM files ORDER BY size`)
      yield* eventually(
        Effect.gen(function*() {
          expect((yield* sizes).map(({ size }) => size), output()).toEqual([3, 5, 8])
          expect(yield* emails.attributes).toMatchObject({ visible: 3 })
          expect(yield* queue.attributes).toMatchObject({ visible: 0, inFlight: 0 })
        }),
        "60 seconds"
      )
      const code = new Promise((resolve) => child.once("exit", resolve))
      child.kill("SIGTERM")
      expect(yield* Effect.promise(() => code), output()).toBe(0)
    }), 120_000)
})
