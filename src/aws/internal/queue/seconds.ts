/** Durations in seconds, as SQS counts them. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { finiteDuration } from "../../../internal/finiteDuration.ts"
import { type Refusal, refuse } from "../errors/invalidInput.ts"

/** Fractions are kept: the caller knows which way to round. */
export const seconds = (
  field: string,
  value: Duration.DurationInput,
  least: number,
  most: number
): Either.Either<number, Refusal> => {
  const duration = finiteDuration(value)
  const given = duration === undefined ? NaN : Duration.toSeconds(duration)
  return given >= least && given <= most
    ? Either.right(given)
    : refuse(field, `must be a duration of ${least}-${most} seconds`)
}
