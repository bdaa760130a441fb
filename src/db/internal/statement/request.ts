/** From a text and its values to what is sent, or to the reason why nothing is. */
import type { Segment } from "@effect/sql/Statement"
import * as Either from "effect/Either"
import type { Finding } from "../../../internal/valueChecks.ts"
import type { Request } from "../connection/connection.ts"
import { isUtf8, type Settings } from "../settings/settings.ts"
import { minutesAhead } from "../values/dates.ts"
import { interpolate } from "../values/literals.ts"
import { placeholdersOf, wrongCount } from "../values/placeholders.ts"
import { findProblem } from "./helpers.ts"
import * as Parameters from "./parameters.ts"
import type { Unpreparable } from "./unpreparable.ts"

/**
 * The request of a statement. Its `segments`, if it was made of some, tell which row and column a refused value belongs to.
 * A statement that is sent as text has its values written into it; in a character set other than UTF-8 that is not safe, so
 * there a statement with values is prepared.
 */
export const make = (
  { settings, unpreparable }: Preparer,
  mode: Pick<Request, "bigint" | "prepared" | "rowsAsArray" | "unlimited">,
  sql: string,
  params: ReadonlyArray<unknown>,
  segments: ReadonlyArray<Segment>
): Either.Either<Request, Finding> => {
  const ahead = minutesAhead(settings.timezone)
  const encoded = Parameters.encode(params, ahead)
  if (Either.isLeft(encoded)) return Either.left(findProblem(segments, Parameters.refusalOf) ?? encoded.left)
  const values = encoded.right
  const utf8 = isUtf8(settings.charset)
  const lost = utf8 ? undefined : findLost(settings.charset, sql, values)
  if (lost !== undefined) return Either.left(lost)
  const { bigint, rowsAsArray, unlimited } = mode
  const prepared = settings.preparedStatements && !unpreparable.has(sql)
    && (mode.prepared || (!utf8 && values.length > 0))
  const request = { sql, values, rowsAsArray, prepared, bigint, unlimited }
  return prepared ? Either.right(request) : asText(settings, request)
}

/** What decides whether a text is prepared. */
interface Preparer {
  readonly settings: Settings
  readonly unpreparable: Unpreparable
}

/** The request as a text, after the server has refused to prepare it. Undefined if that is not possible, or was so already. */
export const unprepared = ({ settings, unpreparable }: Preparer, request: Request): Request | undefined => {
  if (!request.prepared || (request.values.length > 0 && !isUtf8(settings.charset))) return undefined
  unpreparable.add(request.sql)
  return Either.getOrUndefined(asText(settings, { ...request, prepared: false }))
}

const asText = (settings: Settings, request: Request): Either.Either<Request, Finding> => {
  const { sql, values } = request
  if (values.length === 0) return Either.right(request)
  const positions = placeholdersOf(sql)
  if (positions === undefined) return Either.left(AMBIGUOUS)
  return positions.length === values.length
    ? Either.right({ ...request, text: interpolate(sql, positions, values, minutesAhead(settings.timezone)) })
    : Either.left({ detail: wrongCount(positions.length, values.length), hint: "give each placeholder one value" })
}

const AMBIGUOUS: Finding = {
  detail:
    "the text has a backslash, a quotation mark or an executable comment that the server may read in another way, so"
    + " values cannot be put into it",
  hint: "pass such texts as values too, or let the statement be prepared"
}

/** Node cuts what these character sets do not have down to one byte, which may be a quotation mark. */
const findLost = (charset: string, sql: string, values: ReadonlyArray<unknown>): Finding | undefined => {
  const foreign = /^(?:latin1|binary)/.test(charset)
    ? /[^\x00-\xff]/
    : charset.startsWith("ascii")
    ? /[^\x00-\x7f]/
    : undefined
  if (foreign === undefined) return undefined
  const isLost = (value: unknown): boolean => typeof value === "string" && foreign.test(value)
  const found = values.findIndex(isLost)
  return found >= 0 || isLost(sql)
    ? {
      detail: `${found >= 0 ? `parameter ${found + 1}` : "the text"} has a character that charset=${charset} has not`,
      hint: "use charset=utf8mb4"
    }
    : undefined
}
