/** The `Content-Disposition` of a file (RFC 6266): whether browsers show or save it, and under which name. */
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import { type Refusal, refuse } from "../../errors/invalidInput.ts"

export interface Disposition {
  /** `inline`: shown where the browser can show it. `attachment`: saved. */
  readonly type: "inline" | "attachment"
  /**
   * The name to save it under, in any script: 1-255 bytes of UTF-8, without `/`, `\` and control characters, and not
   * beginning with a dot.
   */
  readonly fileName?: string | undefined
}

/**
 * The header, in printable ASCII, of at most 1,350 characters. A name is refused rather than changed. The refusal does
 * not quote it: it can be a patient's.
 */
export const encode = (field: string, value: Disposition): Either.Either<string, Refusal> => {
  const { fileName, type }: Record<string, unknown> = Predicate.isRecord(value) ? value : {}
  if (type !== "inline" && type !== "attachment") return refuse(field, "must have the type 'inline' or 'attachment'")
  if (fileName === undefined) return Either.right(type)
  const wrong = typeof fileName === "string" ? problem(fileName) : "must be a text"
  return wrong === undefined
    ? Either.right(`${type}; ${parameters(String(fileName))}`)
    : refuse(`${field}.fileName`, wrong, "give the file another name, or leave the name out")
}

/** What file systems take. */
const nameLimit = 255

const problem = (name: string): string | undefined => {
  if (name.trim() === "") return "is empty"
  if (/\p{Cs}/u.test(name)) return "has half of a surrogate pair"
  if (Buffer.byteLength(name) > nameLimit) return `is longer than ${nameLimit} bytes in UTF-8`
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(name)) return "has control characters"
  if (/[\u202a-\u202e\u2066-\u2069]/.test(name)) return "changes the direction of writing, which can hide its extension"
  if (/[/\\]/.test(name)) return "has a path separator"
  return name.startsWith(".") ? "begins with a dot" : undefined
}

/**
 * A plain name is quoted as it is. Any other is sent percent-encoded (RFC 8187), after a name for readers who do not
 * know that form. A `%` is not plain, because some browsers decode it.
 */
const parameters = (name: string): string => {
  const plain = `filename="${name.replace(/[^\x20-\x7e]/gu, "_").replace(/["\\]/g, "\\$&")}"`
  return /^[\x20-\x7e]*$/.test(name) && !/["%]/.test(name)
    ? plain
    : `${plain}; filename*=UTF-8''${percentEncoded(name)}`
}

const percentEncoded = (name: string): string =>
  encodeURIComponent(name).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
