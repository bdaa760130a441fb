/** The last errors of ours that were logged. Only what they say themselves is kept: not the log, and not their causes. */
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { type InfrastructureError, isInfrastructureError } from "../infrastructureError.ts"
import { truncate } from "../textLimits.ts"
import { failureOf, type RecentError } from "./model.ts"

const KEPT = 50

/** In UTF-16 code units. */
const LONGEST_MESSAGE = 500

/** How far causes of causes are followed, and how many values of one log are looked at. */
const DEPTH = 5
const WIDTH = 50

export interface RecentErrors {
  readonly logger: Logger.Logger<unknown, void>
  /** The newest first. */
  readonly list: () => ReadonlyArray<RecentError>
}

export const make = (): RecentErrors => {
  const kept: Array<RecentError> = []
  return {
    logger: Logger.make(({ annotations, cause, date, logLevel, message }) => {
      if (LogLevel.lessThan(logLevel, LogLevel.Info)) return
      for (const error of errorsIn([cause, message, ...HashMap.values(annotations)])) {
        kept.unshift({
          ...failureOf(error),
          message: truncate(error.message, LONGEST_MESSAGE),
          time: DateTime.unsafeFromDate(date),
          level: logLevel.label
        })
      }
      kept.length = Math.min(kept.length, KEPT)
    }),
    list: () => [...kept]
  }
}

const errorsIn = (values: ReadonlyArray<unknown>): ReadonlySet<InfrastructureError> => {
  const found = new Set<InfrastructureError>()
  let left = WIDTH
  const visit = (value: unknown, depth: number): void => {
    if (depth === 0 || left-- <= 0) return
    if (isInfrastructureError(value)) found.add(value)
    else if (Cause.isCause(value)) {
      for (const inner of [...Cause.failures(value), ...Cause.defects(value)]) visit(inner, depth)
    } else if (Array.isArray(value)) { for (const inner of value) visit(inner, depth - 1) }
    else if (value instanceof Error) visit(value.cause, depth - 1)
  }
  for (const value of values) visit(value, DEPTH)
  return found
}
