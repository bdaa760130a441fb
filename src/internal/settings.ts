/** Reading settings: every problem of a layer is reported at once, and nothing secret is quoted. */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import { ConfigurationError, type ConfigurationProblem } from "../Errors.ts"
import type { Finding } from "./valueChecks.ts"

/** Runs a config; everything that is wrong with it becomes one ConfigurationError of that service. */
export const load = <A>(service: string, config: Config.Config<A>): Effect.Effect<A, ConfigurationError> =>
  Effect.mapError(
    config,
    (error) => new ConfigurationError({ service, reason: "InvalidSettings", problems: problemsOf(error) })
  )

/** The leaves of a ConfigError, in the order in which the settings were read. */
export const problemsOf = (error: ConfigError.ConfigError): ReadonlyArray<ConfigurationProblem> => {
  switch (error._op) {
    case "And":
      return [...problemsOf(error.left), ...problemsOf(error.right)]
    case "Or":
      return problemsOf(error.right)
    case "MissingData":
      return [{ setting: error.path.join("_"), ...notSet }]
    default:
      return [{ setting: error.path.join("_"), ...findingOf(error.message) }]
  }
}

/** What is wrong with a required setting that is not there. */
export const notSet: Finding = { detail: "is required and not set", hint: "set it in the environment" }

/** What is wrong with a required setting that is there and blank. */
export const blank: Finding = { detail: "is set but empty", hint: "give it a value" }

/**
 * Checks and converts the value of one setting. `check` gives the converted value or everything that is wrong with it;
 * what it returns is shown to people, so it must not quote a secret.
 */
export const checked = <A, B>(
  setting: string,
  config: Config.Config<A>,
  check: (value: A) => Either.Either<B, ReadonlyArray<Finding>>
): Config.Config<B> =>
  // Effect adds the name of the config that fails. Without this map it would name the setting twice.
  Config.mapOrFail(
    Config.map(config, identity),
    (value) => Either.mapLeft(check(value), (findings) => invalid(setting, findings))
  )

/** Findings as a ConfigError. {@link problemsOf} reads them back from it. */
export const invalid = (setting: string, findings: ReadonlyArray<Finding>): ConfigError.ConfigError =>
  findings
    .map((finding): ConfigError.ConfigError => ConfigError.InvalidData([setting], messageOf(finding)))
    .reduce((left, right) => ConfigError.And(left, right))

// A ConfigError has room for one text, and Effect copies it on its way: our detail and hint are marked by a
// control character. A line break would not do, because the messages of Schema have several lines.
const MARK = "\u001f"
const messageOf = ({ detail, hint }: Finding): string => hint === undefined ? detail : `${MARK}${detail}${MARK}${hint}`
const findingOf = (message: string): Finding => {
  const [before, detail, hint, ...more] = message.split(MARK)
  return before === "" && detail !== undefined && hint !== undefined && more.length === 0
    ? { detail, hint }
    : { detail: message }
}

/** A required text: set, and not blank. Surrounding white space is dropped. */
export const text = (setting: string): Config.Config<string> =>
  checked(
    setting,
    Config.string(setting),
    (value) => value.trim() === "" ? Either.left([blank]) : Either.right(value.trim())
  )
