/** One failure of each type, provoked and handled. */
import { type ConfigurationError, type DatabaseError, type ServiceError, Storage } from "@betterai/infrastructure"
import { ConfigProvider, Effect, Stream } from "effect"
import { insert } from "./databases.ts"
import { step, Unexpected } from "../report.ts"
import { customerId, discussionId, type StoredFile } from "./storage.ts"

export const failures = Effect.fn("demo.failures")(function*(recorded: StoredFile) {
  yield* fails("a wrong setup", badSettings)
  yield* fails("a file that is not there", missingFile)
  yield* fails("a row that is there already", insert(recorded))
})

/** Two settings are missing and one is malformed. The layer tells of all three, and starts nothing. */
const badSettings = Effect.provide(Storage, Storage.layer).pipe(
  Effect.withConfigProvider(ConfigProvider.fromJson({ AWS_REGION: "Mars 1", AWS_ACCESS_KEY_ID: "AKIAEXAMPLE" }))
)

const missingFile = Effect.flatMap(
  Storage,
  (storage) => Stream.runDrain(storage.read(`${customerId}/assets/chat/${discussionId}/nothing.png`))
)

/** What a feature would do with these failures is its own affair; here they are told. */
const fails = <R>(what: string, work: Effect.Effect<unknown, ConfigurationError | ServiceError | DatabaseError, R>) =>
  step(
    what,
    work.pipe(
      Effect.zipRight(new Unexpected({ message: `${what} did not fail` })),
      Effect.catchTags({
        ConfigurationError: (error) =>
          Effect.succeed({
            result: `ConfigurationError of ${error.service}, ${error.problems.length} settings to mend`,
            detail: error.problems.map(({ detail, setting }) => `${setting} ${detail}`).join("\n")
          }),
        ServiceError: (error) =>
          Effect.succeed({
            result: `ServiceError ${error.reason}, ${error.retryable ? "may be retried" : "not to be retried"}`,
            detail: error.message
          }),
        DatabaseError: (error) =>
          Effect.succeed({
            result: `DatabaseError ${error.reason} of ${error.constraint ?? "no constraint"}`,
            detail: error.message
          })
      })
    ),
    (outcome) => outcome
  )
