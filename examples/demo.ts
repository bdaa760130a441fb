/**
 * `npm run demo [-- file ...]`: the whole layer, end to end, on this machine. `npm run demo -- --serve` starts the chat of
 * `chat/` instead, until Ctrl-C.
 *
 * Files go up to S3 and come back, MySQL records them, SQS carries a job for each, four databases commit and roll back,
 * and errors arrive typed. The steps are listed in `demo/steps/index.ts`. S3, SQS and MySQL run on this machine for as
 * long as the demo does.
 */
import { Infrastructure } from "@betterai/infrastructure"
import { LocalStack } from "@betterai/infrastructure/local"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Console, Data, Effect, Exit, Layer, Option, Ref } from "effect"
import * as Files from "./demo/files.ts"
import { heading, Report, type Row, row, table } from "./demo/report.ts"
import { steps } from "./demo/steps/index.ts"
import { upload } from "./demo/steps/storage.ts"

const usage = `Usage: npm run demo [-- file ...]
       npm run demo -- --serve

Shows the layer at work with these files, or with the samples in examples/assets. With --serve it starts a chat instead, on
the ports CHAT_PORT (8080) and, for its status page, CHAT_INTERNAL_PORT (9090).
The database server is a private one, or that of LOCAL_MYSQL_URL (mysql://user:password@host:port).`

// On Node 20 the SDK warns that its versions from 2027 on will need Node 22. That does not belong in a demo.
process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] = "true"

/** All of the infrastructure, on servers of this machine. */
const Live = Infrastructure.layer.pipe(Layer.provideMerge(LocalStack.layer))

const serve = Effect.provide(
  Effect.flatMap(Effect.promise(() => import("./chat/app.ts")), ({ chat }) => chat),
  LocalStack.layer
)

const demo = Effect.fn("demo")(function*(paths: ReadonlyArray<string>) {
  const files = yield* Files.load(paths)

  yield* heading("S3, SQS and four MySQL databases start on this machine")
  const started = yield* row(
    "start",
    Layer.build(Live),
    () => ({ result: "ready, settings checked, databases reached" })
  )

  yield* Effect.gen(function*() {
    yield* heading("Files go up to S3 and come back")
    const stored = yield* Effect.forEach(files, upload)

    for (const step of steps) {
      yield* heading(step.heading)
      yield* step.run(stored)
    }
  }).pipe(Effect.provide(started))

  yield* table
}, Effect.scoped)

class WrongUsage extends Data.TaggedError("WrongUsage")<{ readonly message: string }> {}

const explain = (cause: Cause.Cause<{ readonly message: string }>): string => {
  if (Cause.isInterruptedOnly(cause)) return "Interrupted: everything that was started has been stopped."
  const failure = Cause.failureOption(cause)
  return `The demo failed: ${Option.isSome(failure) ? failure.value.message : Cause.pretty(cause)}`
}

const main = Effect.gen(function*() {
  const args = process.argv.slice(2)
  if (args.includes("--help") || args.includes("-h")) return yield* Console.log(usage)
  if (args.length === 1 && args[0] === "--serve") return yield* serve
  const option = args.find((arg) => arg.startsWith("-"))
  if (option !== undefined) return yield* new WrongUsage({ message: `the option ${option} is unknown\n\n${usage}` })
  yield* demo(args)
}).pipe(
  Effect.provideServiceEffect(Report, Ref.make<ReadonlyArray<Row>>([])),
  Effect.provide(NodeFileSystem.layer),
  Effect.onError((cause) => Console.error(`\n${explain(cause)}`))
)

// npm passes on what the terminal has sent already. The second signal must not kill what the first one ends in order.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => {})

// Nobody reads the output any more, as with `| head`: the same as Ctrl-C.
process.stdout.once("error", () => process.kill(process.pid, "SIGINT")).on("error", () => {})

NodeRuntime.runMain(main, {
  disableErrorReporting: true,
  // 0, 1 for a failure, 2 for wrong usage, 130 for Ctrl-C.
  teardown: (exit, end) =>
    end(Exit.match(exit, {
      onSuccess: () => 0,
      onFailure: (cause) => {
        if (Cause.isInterruptedOnly(cause)) return 130
        return Option.exists(Cause.failureOption(cause), (error) => error instanceof WrongUsage) ? 2 : 1
      }
    }))
})
