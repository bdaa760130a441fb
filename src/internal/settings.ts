/** Reading settings: every problem of a layer is reported at once, and nothing secret is quoted. */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import { ConfigurationError } from "../Errors.ts"

export interface Problem {
  readonly setting: string
  readonly detail: string
}

/** Runs a config; whatever is wrong with it, taken together, becomes one ConfigurationError of that service. */
export const load = <A>(service: string, config: Config.Config<A>): Effect.Effect<A, ConfigurationError> =>
  Effect.mapError(
    config,
    (error) => new ConfigurationError({ service, reason: "InvalidSettings", problems: problems(error) })
  )

/** The leaves of a ConfigError, in the order in which the settings were read. */
export const problems = (error: ConfigError.ConfigError): ReadonlyArray<Problem> => {
  switch (error._op) {
    case "And":
      return [...problems(error.left), ...problems(error.right)]
    case "Or":
      return problems(error.right)
    default: {
      const setting = error.path.join("_")
      return [{
        setting,
        detail: error._op === "MissingData" ? "is required and not set; set it in the environment" : error.message
      }]
    }
  }
}

/**
 * Checks and converts the value of one setting. `check` gives the converted value or what is wrong with it, once for
 * each problem; what it returns is shown to people, so it must not quote a secret.
 */
export const checked = <A, B>(
  setting: string,
  config: Config.Config<A>,
  check: (value: A) => Either.Either<B, ReadonlyArray<string>>
): Config.Config<B> =>
  // The map between keeps Effect from naming the setting twice: it adds the name of what it fails on to our own.
  Config.mapOrFail(Config.map(config, identity), (value) =>
    Either.mapLeft(check(value), (details) =>
      details.map((detail) =>
        ConfigError.InvalidData([setting], detail)
      ).reduce((left, right) =>
        ConfigError.And(left, right)
      )))

/** A required text: set, and not blank. Surrounding white space is dropped. */
export const text = (setting: string): Config.Config<string> =>
  checked(setting, Config.string(setting), (value) =>
    value.trim() === ""
      ? Either.left(["is set but empty; give it a value"])
      : Either.right(value.trim()))
