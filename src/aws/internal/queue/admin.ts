/** What those who run a queue do with it. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ServiceError } from "../../../Errors.ts"
import { invalidInput } from "../errors/invalidInput.ts"
import type { QueueBackend } from "./backend.ts"
import type { RedriveOptions, RedriveProgress } from "./model.ts"

export const purge = (backend: QueueBackend, name: string): Effect.Effect<void, ServiceError> =>
  name === backend.name
    ? backend.purge
    : Effect.fail(invalidInput("SQS", "purge", {
      field: "name",
      detail: "is not the name of this queue",
      hint: "give the name of the queue that is to be emptied"
    }))

export const redrive = (
  _backend: QueueBackend,
  _options: RedriveOptions = {}
): Stream.Stream<RedriveProgress, ServiceError> => Stream.dieMessage("later")
