/** The options of a relay, checked. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { ConfigurationError, type ConfigurationProblem } from "../../Errors.ts"
import * as Checks from "../valueChecks.ts"
import type { RelayOptions } from "./model.ts"
import { SHARDS } from "./schema.ts"

/** In milliseconds. */
export interface Settings {
  readonly pollInterval: number
  readonly concurrency: number
  readonly lease: number
  /** Between two renewals. */
  readonly renewal: number
  /** Nothing is sent when less than this is left of a lease. */
  readonly margin: number
  readonly onPoison: "block" | "park"
  readonly stopTimeout: number
}

export const of = (
  {
    concurrency = 4,
    lease = "15 seconds",
    onPoison = "block",
    pollInterval = "1 second",
    stopTimeout = "10 seconds"
  }: RelayOptions
): Either.Either<Settings, ConfigurationError> => {
  const problems: Array<ConfigurationProblem> = []
  const checked = <A>(setting: string, check: Checks.Check<A>, value: unknown, instead: A): A =>
    Either.getOrElse(check(value), (finding) => {
      problems.push({ setting, ...finding })
      return instead
    })
  const millis = checked("lease", between("1 second", "10 minutes"), lease, 0)
  const settings: Settings = {
    pollInterval: checked("pollInterval", between("10 millis", "10 minutes"), pollInterval, 0),
    concurrency: checked("concurrency", Checks.wholeNumber(1, SHARDS), concurrency, 1),
    lease: millis,
    renewal: millis / 3,
    margin: millis / 5,
    onPoison: checked("onPoison", choice, onPoison, "block"),
    stopTimeout: checked("stopTimeout", between("0 seconds", "10 minutes"), stopTimeout, 0)
  }
  return problems.length === 0
    ? Either.right(settings)
    : Either.left(new ConfigurationError({ service: "Outbox.relay", reason: "InvalidSettings", problems }))
}

const between = (least: Duration.DurationInput, most: Duration.DurationInput): Checks.Check<number> =>
  Checks.duration(
    `a duration from ${Duration.format(least)} to ${Duration.format(most)}`,
    (millis) => millis >= Duration.toMillis(least) && millis <= Duration.toMillis(most) ? millis : undefined
  )

const choice: Checks.Check<"block" | "park"> = (value) =>
  value === "block" || value === "park" ? Either.right(value) : Checks.mustBe("\"block\" or \"park\"", value)
