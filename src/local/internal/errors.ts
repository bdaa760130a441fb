import { ConfigurationError, type ConfigurationProblem } from "../../Errors.ts"

/** A local server cannot be started or reached. */
export const localServerError = (problems: ReadonlyArray<ConfigurationProblem>, cause?: unknown): ConfigurationError =>
  new ConfigurationError({
    service: "LocalStack",
    reason: "LocalServer",
    problems,
    ...(cause === undefined ? {} : { cause })
  })
