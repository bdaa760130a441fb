/** The headers of a part (RFC 7578, RFC 2183), and the parameters of a header's value. */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { Malformed } from "./errors.ts"

/** What the headers of a part say. */
export interface Head {
  readonly field: string
  /** The name that the client gave, cleaned; empty where no file was chosen. A part without one is a field of the form. */
  readonly fileName: string | undefined
  /** In lower case, without parameters. */
  readonly contentType: string | undefined
}

export const malformed = (reason: Malformed["reason"], detail: string, field?: string): Malformed =>
  new Malformed({ reason, detail, ...(field === undefined ? {} : { field: field.slice(0, SHOWN) }) })

/** Characters of a field's name in an error. */
const SHOWN = 100

/** A value and its parameters, the names in lower case; none where it is not of that form. */
export const parseValue = (
  text: string
): { readonly value: string; readonly parameters: ReadonlyMap<string, string> } | undefined => {
  const value = /^[^;]*/.exec(text)![0]
  const parameters = new Map<string, string>()
  let at = value.length
  while (at < text.length) {
    parameter.lastIndex = at
    const found = parameter.exec(text)
    if (found === null) return /^[; \t]*$/.test(text.slice(at)) ? { value: value.trim(), parameters } : undefined
    const name = found[1]!.toLowerCase()
    // Which of the two counts is not agreed on.
    if (parameters.has(name)) return undefined
    parameters.set(name, found[2] === undefined ? found[3]! : found[2].replace(/\\(["\\])/g, "$1"))
    at = parameter.lastIndex
  }
  return { value: value.trim(), parameters }
}

// Each character can be matched in one way only: what backtracks takes for ever with names that are made for it.
const parameter =
  /[ \t]*;[ \t]*([\w!#$%&'*+.^`|~-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\["\\]|\\(?!["\\]))*)"|([^\s;"]*))[ \t]*(?=;|$)/gy

export const parseHead = (text: string): Either.Either<Head, Malformed> => {
  const headers = new Map<string, string>()
  for (const line of text === "" ? [] : text.split("\r\n")) {
    const found = /^([\w!#$%&'*+.^`|~-]+):[ \t]*(.*)$/s.exec(line)
    const [, name = "", value = ""] = found ?? []
    if (found === null || /[\0\r\n]/.test(value)) return refuse("a part has a header that is none")
    const key = name.toLowerCase()
    if (headers.has(key)) return refuse(`a part has the header ${key.slice(0, SHOWN)} twice`)
    headers.set(key, value)
  }
  const disposition = parseValue(headers.get("content-disposition") ?? "")
  const field = disposition?.parameters.get("name")
  if (disposition?.value.toLowerCase() !== "form-data" || field === undefined) {
    return refuse("a part has no Content-Disposition of the form: form-data; name=\"…\"")
  }
  if (/\p{Cc}/u.test(field)) return refuse("the name of a part has control characters")
  // Nothing of it is decoded (RFC 7578, section 4.7 deprecates it), so it must not be stored as if it were.
  if (!/^(|7bit|8bit|binary)$/i.test((headers.get("content-transfer-encoding") ?? "").trim())) {
    return Either.left(
      malformed("Encoding", "a part has a Content-Transfer-Encoding: send its bytes as they are", field)
    )
  }
  const type = parseValue(headers.get("content-type") ?? "")
  const charset = type?.parameters.get("charset")
  const fileName = extended(disposition.parameters.get("filename*")) ?? disposition.parameters.get("filename")
  if (fileName === undefined && charset !== undefined && !/^(utf-?8|us-ascii)$/i.test(charset)) {
    return Either.left(malformed("Encoding", "a field is in another charset than UTF-8", field))
  }
  return Either.right({
    field: browserEscapes(field),
    fileName: fileName === undefined ? undefined : cleaned(browserEscapes(fileName)),
    contentType: type === undefined || type.value === "" ? undefined : type.value.toLowerCase()
  })
}

const refuse = (detail: string): Either.Either<never, Malformed> => Either.left(malformed("Headers", detail))

/** `UTF-8''na%C3%AFve.png` (RFC 5987), which a form must not use and some clients do. One that is malformed is left out. */
const extended = (value: string | undefined): string | undefined => {
  const [, encoded] = /^utf-8'[^']*'(.*)$/i.exec(value ?? "") ?? []
  return encoded === undefined ? undefined : Option.getOrUndefined(decoded(encoded))
}

const decoded = Option.liftThrowable(decodeURIComponent)

/** The three characters that browsers escape in a name (HTML, "multipart/form-data encoding algorithm"). */
const browserEscapes = (name: string): string =>
  name.replace(/%0D|%0A|%22/gi, (escape) => String.fromCharCode(parseInt(escape.slice(1), 16)))

/**
 * A name as `Disposition.fileName` takes it: without its folders, without characters that break a line or turn its
 * direction, without dots at its beginning, in at most 255 bytes of which the end, with its extension, is kept.
 */
const cleaned = (fileName: string): string => {
  const base = fileName.slice(Math.max(fileName.lastIndexOf("/"), fileName.lastIndexOf("\\")) + 1)
  const printable = base.replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu, "")
  let characters = [...printable.trim().replace(/^[.\s]+/, "")]
  while (Buffer.byteLength(characters.join("")) > NAME) characters = characters.slice(Math.ceil(characters.length / 16))
  return characters.join("")
}

/** Bytes of a file's name, as file systems take it. */
const NAME = 255
