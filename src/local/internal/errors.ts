import { ConfigurationError } from "../../Errors.ts"
import type { Problem } from "../../internal/settings.ts"

/** The one error of this wing: a local server cannot be had. */
export const localServerError = (problems: ReadonlyArray<Problem>, cause?: unknown): ConfigurationError =>
  new ConfigurationError({
    service: "LocalStack",
    reason: "LocalServer",
    problems,
    ...(cause === undefined ? {} : { cause })
  })
