import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** A duration that ends. Undefined for what is none, for an endless one, and for a negative one or NaN, which Effect reads as zero. */
export const finiteDuration = (value: unknown): Duration.Duration | undefined =>
  isNegative(value)
    ? undefined
    : Option.getOrUndefined(Option.filter(Duration.decodeUnknown(value), Duration.isFinite))

const isNegative = (value: unknown): boolean =>
  (typeof value === "number" && !(value >= 0)) || (typeof value === "bigint" && value < 0n)
  || (typeof value === "string" && value.trim().startsWith("-"))
  // Seconds and nanoseconds.
  || (Array.isArray(value) && !(Number(value[0]) * 1e9 + Number(value[1]) >= 0))
