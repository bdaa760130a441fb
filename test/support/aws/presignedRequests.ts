/**
 * What S3 does with presigned requests, from AWS's documentation alone: "Authenticating Requests: Using Query
 * Parameters (AWS Signature Version 4)", and "Creating a POST policy" with "Authenticating requests in browser-based
 * uploads". Nothing of it comes from the SDK.
 */
import { createHash, createHmac } from "node:crypto"

export interface Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface Received {
  readonly method: string
  /** With `host`, and the names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Path and query, as in the request line. */
  readonly path: string
}

/** Why S3 refuses it, as its error code; `undefined` if it does not. */
export const refusalOfQuery = (request: Received, keys: Keys, now: Date): string | undefined => {
  const { pathname, searchParams } = new URL(request.path, "http://host")
  const parameter = (name: string) => searchParams.get(name) ?? ""
  const [accessKeyId, ...scope] = parameter("X-Amz-Credential").split("/")
  const date = parameter("X-Amz-Date")
  const signed = parameter("X-Amz-SignedHeaders").split(";")
  const seconds = Number(parameter("X-Amz-Expires"))

  if (parameter("X-Amz-Algorithm") !== "AWS4-HMAC-SHA256") return "AuthorizationQueryParametersError"
  if (accessKeyId !== keys.accessKeyId) return "InvalidAccessKeyId"
  if (parameter("X-Amz-Security-Token") !== (keys.sessionToken ?? "")) return "InvalidToken"
  if (!isScope(scope, date)) return "AuthorizationQueryParametersError"
  if (!(Number.isInteger(seconds) && seconds >= 1 && seconds <= 604_800)) return "AuthorizationQueryParametersError"
  const begin = timeOf(date)
  if (now.getTime() < begin - CLOCK_SKEW || now.getTime() > begin + seconds * 1000) return "AccessDenied"
  // "You must include the host header, and any x-amz-* headers that you plan to add to your request."
  const mustBeSigned = Object.keys(request.headers).filter((name) => name === "host" || name.startsWith("x-amz-"))
  if (!mustBeSigned.every((name) => signed.includes(name))) return "AccessDenied"

  const canonicalRequest = [
    request.method,
    pathname.split("/").map((segment) => uriEncode(decodeURIComponent(segment))).join("/"),
    Array.from(searchParams)
      .filter(([name]) => name !== "X-Amz-Signature")
      .map(([name, value]) => [uriEncode(name), uriEncode(value)] as const)
      .sort(([a], [b]) => a < b ? -1 : 1)
      .map((pair) => pair.join("="))
      .join("&"),
    ...signed.map((name) => `${name}:${(request.headers[name] ?? "").trim().replace(/ +/g, " ")}`),
    "",
    signed.join(";"),
    "UNSIGNED-PAYLOAD"
  ].join("\n")
  const hash = createHash("sha256").update(canonicalRequest).digest("hex")
  const stringToSign = ["AWS4-HMAC-SHA256", date, scope.join("/"), hash].join("\n")
  return sign(keys, scope, stringToSign) === parameter("X-Amz-Signature") ? undefined : "SignatureDoesNotMatch"
}

export interface Form {
  readonly bucket: string
  /** All but the file, with the names in lower case. */
  readonly fields: Readonly<Record<string, string>>
  /** Bytes. */
  readonly size: number
}

/** The same of a form. */
export const refusalOfForm = ({ bucket, fields, size }: Form, keys: Keys, now: Date): string | undefined => {
  const field = (name: string) => fields[name] ?? ""
  const [accessKeyId, ...scope] = field("x-amz-credential").split("/")
  if (field("x-amz-algorithm") !== "AWS4-HMAC-SHA256") return "InvalidArgument"
  if (accessKeyId !== keys.accessKeyId) return "InvalidAccessKeyId"
  if (field("x-amz-security-token") !== (keys.sessionToken ?? "")) return "InvalidToken"
  if (!isScope(scope, field("x-amz-date"))) return "InvalidArgument"
  if (sign(keys, scope, field("policy")) !== field("x-amz-signature")) return "SignatureDoesNotMatch"

  const policy = policyOf(field("policy"))
  if (!(now.getTime() < Date.parse(policy.expiration))) return "AccessDenied: expired"
  const values: Readonly<Record<string, string>> = { ...fields, bucket }
  const named = new Set(["policy", "x-amz-signature", "bucket"])
  for (const condition of policy.conditions) {
    if (!Array.isArray(condition)) {
      for (const [name, value] of Object.entries(condition)) {
        named.add(name.toLowerCase())
        if (values[name.toLowerCase()] !== value) return `AccessDenied: ${name.toLowerCase()}`
      }
      continue
    }
    const [operator, first, second] = condition
    if (operator !== "content-length-range") return "InvalidPolicyDocument"
    if (size < Number(first)) return "EntityTooSmall"
    if (size > Number(second)) return "EntityTooLarge"
  }
  // "Each form field that you specify in a form […] must appear in the list of conditions."
  const extra = Object.keys(fields).find((name) => !named.has(name) && !name.startsWith("x-ignore-"))
  return extra === undefined ? undefined : `AccessDenied: ${extra} is an extra field`
}

interface Policy {
  readonly expiration: string
  readonly conditions: ReadonlyArray<Readonly<Record<string, string>> | ReadonlyArray<string | number>>
}

export const policyOf = (base64: string): Policy => JSON.parse(Buffer.from(base64, "base64").toString())

/** S3 takes requests from clocks that are this much ahead of its own. */
const CLOCK_SKEW = 15 * 60 * 1000

const isScope = (scope: ReadonlyArray<string>, date: string): boolean =>
  scope.length === 4 && scope[0] === date.slice(0, 8) && scope[1] !== "" && scope[2] === "s3"
  && scope[3] === "aws4_request"

/** `20130524T000000Z`. */
const timeOf = (date: string): number =>
  Date.parse(date.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z"))

const uriEncode = (text: string): string =>
  Array.from(
    Buffer.from(text),
    (byte) =>
      /[A-Za-z0-9\-._~]/.test(String.fromCharCode(byte))
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
  ).join("")

const sign = (keys: Keys, scope: ReadonlyArray<string>, text: string): string => {
  const hmac = (key: string | Buffer, data: string) => createHmac("sha256", key).update(data).digest()
  return hmac(scope.reduce<string | Buffer>(hmac, `AWS4${keys.secretAccessKey}`), text).toString("hex")
}
