/** Durations in seconds, as SQS counts them. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { type Refusal, refuse } from "../errors/invalidInput.ts"

/** Fractions are kept: the caller knows which way to round. */
export const seconds = (
  field: string,
  value: Duration.DurationInput,
  least: number,
  most: number
): Either.Either<number, Refusal> => {
  const given = Option.match(isNegative(value) ? Option.none() : Duration.decodeUnknown(value), {
    onNone: () => NaN,
    onSome: Duration.toSeconds
  })
  return given >= least && given <= most
    ? Either.right(given)
    : refuse(field, `must be a duration of ${least}-${most} seconds`)
}

/** Effect reads a negative duration, and NaN, as zero. */
const isNegative = (value: unknown): boolean =>
  (typeof value === "number" && !(value >= 0)) || (typeof value === "bigint" && value < 0n)
  || (typeof value === "string" && value.trim().startsWith("-"))
  // Seconds and nanoseconds.
  || (Array.isArray(value) && !(Number(value[0]) * 1e9 + Number(value[1]) >= 0))
