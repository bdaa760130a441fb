/** Arguments that are refused before anything is sent. `detail` and `hint` must not quote what may be private. */
import * as Either from "effect/Either"
import { ServiceError } from "../../../Errors.ts"
import type { AwsService } from "./errorTable.ts"

export interface Refusal {
  /** The argument. */
  readonly field: string
  /** What is wrong with the argument: a phrase that follows its name. */
  readonly detail: string
  /** What to do about it. */
  readonly hint?: string | undefined
}

export const refuse = (field: string, detail: string, hint?: string): Either.Either<never, Refusal> =>
  Either.left({ field, detail, hint })

export const invalidInput = (service: AwsService, operation: string, refusal: Refusal): ServiceError =>
  new ServiceError({
    service,
    operation,
    reason: "InvalidInput",
    retryable: false,
    attempts: 0,
    field: refusal.field,
    detail: `${refusal.field} ${refusal.detail}`,
    ...(refusal.hint === undefined ? {} : { hint: refusal.hint })
  })
