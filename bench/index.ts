/**
 * `npm run bench [database|http|testing|outbox|aws|queue|imports]`: ours against what a user would pick instead. It measures the built package on
 * local servers; CPU is that of this process, in which the local S3 and SQS servers run too.
 */
import { Infrastructure } from "@betterai/infrastructure"
import { LocalStack } from "@betterai/infrastructure/local"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import { useTestServer } from "../scripts/servers/programs.ts"
import * as Aws from "./aws.ts"
import * as Database from "./database.ts"
import * as Http from "./http.ts"
import * as Imports from "./imports.ts"
import * as Outbox from "./outbox.ts"
import * as Queue from "./queue.ts"
import * as Testing from "./testing.ts"

await Effect.runPromise(useTestServer)

const chosen = process.argv.slice(2)
const wanted = (name: string): boolean => chosen.length === 0 || chosen.includes(name)

const runtime = ManagedRuntime.make(Infrastructure.layer.pipe(Layer.provideMerge(LocalStack.layer)))
try {
  const { databaseServer, settings } = await runtime.runPromise(LocalStack)
  console.log(`on ${databaseServer.kind} ${databaseServer.version}`)
  if (wanted("database")) await Database.run(Redacted.value(settings.MAIN_DB_URL))
  if (wanted("http")) await Http.run(Redacted.value(settings.MAIN_DB_URL))
  if (wanted("testing")) await Testing.run(Redacted.value(settings.MAIN_DB_URL))
  if (wanted("outbox")) await Outbox.run(Redacted.value(settings.MAIN_DB_URL))
  if (wanted("aws")) await Aws.run()
  if (wanted("queue")) await Queue.run()
  if (wanted("imports")) Imports.run()
} finally {
  await runtime.dispose()
}
