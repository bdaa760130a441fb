/** One failure of each type, provoked and handled. */
import { type ConfigurationError, type DatabaseError, type ServiceError, Storage } from "@betterai/infrastructure"
import { ConfigProvider, Effect, Stream } from "effect"
import { row, Unexpected } from "../report.ts"
import type { Step } from "../step.ts"
import { insert } from "./databases.ts"
import { customerId, discussionId } from "./storage.ts"

export const failures: Step = {
  heading: "Errors are typed",
  run: Effect.fn("demo.failures")(function*([recorded]) {
    yield* fails("a wrong setup", badSettings)
    yield* fails("a file that is not there", missingFile)
    if (recorded !== undefined) yield* fails("a row that is there already", insert(recorded))
  })
}

/** Two settings are missing and one is malformed. The layer reports all three, and starts nothing. */
const badSettings = Effect.provide(Storage, Storage.layer).pipe(
  Effect.withConfigProvider(ConfigProvider.fromJson({ AWS_REGION: "Mars 1", AWS_ACCESS_KEY_ID: "AKIAEXAMPLE" }))
)

const missingFile = Effect.flatMap(
  Storage,
  (storage) => Stream.runDrain(storage.read(`${customerId}/assets/chat/${discussionId}/nothing.png`))
)

/** A feature decides for itself what to do about these failures. Here they are shown. */
const fails = <R>(what: string, work: Effect.Effect<unknown, ConfigurationError | ServiceError | DatabaseError, R>) =>
  row(
    what,
    work.pipe(
      Effect.zipRight(new Unexpected({ message: `${what} did not fail` })),
      Effect.catchTags({
        ConfigurationError: (error) =>
          Effect.succeed({
            result: `ConfigurationError of ${error.service}, ${error.problems.length} settings to fix`,
            detail: error.problems.map(({ detail, hint, setting }) => withHint(`${setting} ${detail}`, hint)).join("\n")
          }),
        ServiceError: (error) =>
          Effect.succeed({
            result: `ServiceError ${error.reason}, ${error.retryable ? "may be retried" : "not retryable"}`,
            detail: explained(error)
          }),
        DatabaseError: (error) =>
          Effect.succeed({
            result: `DatabaseError ${error.reason} of ${error.constraint ?? "no constraint"}`,
            detail: explained(error)
          })
      })
    ),
    (outcome) => outcome
  )

/** What went wrong, and below it what to do about it. */
const explained = ({ detail, hint, message }: ServiceError | DatabaseError): string =>
  detail === undefined ? message : withHint(detail, hint)

const withHint = (detail: string, hint: string | undefined): string =>
  hint === undefined ? detail : `${detail}\n→ ${hint}`
