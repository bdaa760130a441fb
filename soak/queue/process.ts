/** One of the processes that are killed: a producer, a relay, or a worker. The soak runs it as a bundle. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { MainDb } from "../../src/db/Database.ts"
import { DatabaseError } from "../../src/Errors.ts"
import { Outbox } from "../../src/Outbox.ts"
import { Events, Jobs, NOT_STARTED, tell } from "./model.ts"
import { producer } from "./producer.ts"
import { worker } from "./worker.ts"

// It ends with the process that started it, however that ends.
process.stdin.on("close", () => process.exit(1)).resume()

/** One line for each, whose first words are the same for the same thing. */
const toStderr = Logger.replace(
  Logger.defaultLogger,
  Logger.make(({ cause, logLevel, message }) => {
    const texts = (Array.isArray(message) ? message : [message]).map(String)
    const because = Cause.isEmpty(cause) ? [] : [Cause.pretty(cause)]
    process.stderr.write(`${[logLevel.label, ...texts, ...because].join(" | ").replace(/\s*\n\s*/g, " ")}\n`)
  })
)

const ready = Effect.sync(() => tell("ready"))

const database = MainDb.layer
const queues = Layer.merge(Jobs.layer, Events.layer)
const outbox = Outbox.layer(MainDb, Jobs, Events).pipe(Layer.provideMerge(Layer.merge(database, queues)))

const roles: Readonly<Record<string, Effect.Effect<void, unknown>>> = {
  producer: Effect.provide(Effect.zipRight(ready, producer), outbox),
  relay: Effect.provide(
    Effect.zipRight(ready, Effect.never),
    Outbox.relayWith({ lease: "2 seconds", pollInterval: "200 millis" }).pipe(Layer.provide(outbox))
  ),
  worker: Effect.provide(Effect.zipRight(ready, worker), Layer.merge(database, queues))
}

NodeRuntime.runMain(
  roles[process.argv[2] ?? ""]!.pipe(Effect.provide(Layer.merge(toStderr, Logger.minimumLogLevel(LogLevel.Warning)))),
  {
    disablePrettyLogger: true,
    // The connections of a process that starts are killed, too.
    teardown: (exit) => {
      const error = Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : undefined
      if (Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause)) process.exit(0)
      else process.exit(error?._tag === "Some" && error.value instanceof DatabaseError ? NOT_STARTED : 1)
    }
  }
)
