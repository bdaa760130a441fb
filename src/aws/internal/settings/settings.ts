/** The AWS settings, read as Config. No value is quoted in a problem: an endpoint may hold a password. */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as Settings from "../../../internal/settings.ts"

/** An optional setting: one that is set but blank counts as not set. */
const optional = (setting: string): Config.Config<string | undefined> =>
  Config.string(setting).pipe(
    Config.map((value) => value.trim() === "" ? undefined : value.trim()),
    Config.withDefault<string | undefined>(undefined)
  )

const optionalChecked = <A>(
  setting: string,
  check: (value: string) => Either.Either<A, string>
): Config.Config<A | undefined> =>
  Settings.checked(
    setting,
    optional(setting),
    (value): Either.Either<A | undefined, ReadonlyArray<string>> =>
      value === undefined ? Either.right(undefined) : Either.mapLeft(check(value), (detail) => [detail])
  )

const oneOf = <A extends string>(setting: string, values: readonly [A, ...ReadonlyArray<A>]): Config.Config<A> =>
  Config.map(
    optionalChecked(setting, (value) =>
      Either.fromNullable(
        values.find((candidate) => candidate === value.toLowerCase()),
        () => `must be one of ${values.join(", ")}`
      )),
    (value) => value ?? values[0]
  )

/** An http(s) URL without user, query and fragment. */
const httpUrl = (value: string): Either.Either<URL, string> => {
  if (!URL.canParse(value)) return Either.left("must be a URL such as https://host/path")
  const url = new URL(value)
  if (url.protocol !== "https:" && url.protocol !== "http:") return Either.left("must begin with https:// or http://")
  if (url.username !== "" || url.password !== "") return Either.left("must not hold a user name or a password")
  if (url.search !== "" || url.hash !== "") return Either.left("must not hold a query or a fragment")
  return Either.right(url)
}

/** Bucket names as S3 accepts them for new buckets (S3 user guide, "General purpose bucket naming rules"). */
export const bucketName = (value: string): Either.Either<string, ReadonlyArray<string>> =>
  /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(value) && !value.includes("..")
    ? Either.right(value)
    : Either.left(["must be 3-63 lower-case letters, digits, dots and hyphens, and nothing else"])

const regionName = (value: string): Either.Either<string, ReadonlyArray<string>> =>
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value)
    ? Either.right(value)
    : Either.left(["must be the name of a region such as eu-west-1"])

/** A queue's URL ends in its account and its name (1-80 letters, digits, `-` and `_`, `.fifo` included). */
export const queueUrl = (value: string): Either.Either<string, ReadonlyArray<string>> =>
  Either.flatMap(Either.mapLeft(httpUrl(value), (detail) => [detail]), (url) => {
    const name = url.pathname.split("/").at(-1) ?? ""
    return /^[A-Za-z0-9_-]{1,80}$/.test(name.replace(/\.fifo$/, "")) && name.length <= 80
      ? Either.right(value)
      : Either.left(["must end in the queue's name, as in https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"])
  })

export const publicBaseUrl = (value: string): Either.Either<string, ReadonlyArray<string>> =>
  Either.mapBoth(httpUrl(value), {
    onLeft: (detail) => [detail],
    onRight: (url) => url.href.replace(/\/+$/, "")
  })

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  readonly sessionToken: Redacted.Redacted | undefined
}

const hidden = (value: string | undefined): Redacted.Redacted | undefined =>
  value === undefined ? undefined : Redacted.make(value)

/** `undefined` means the SDK's own provider chain. */
const credentials: Config.Config<Credentials | undefined> = Config.all({
  source: oneOf("AWS_CREDENTIALS", ["static", "chain"]),
  accessKeyId: optional("AWS_ACCESS_KEY_ID"),
  secretAccessKey: Config.map(optional("AWS_SECRET_ACCESS_KEY"), hidden),
  sessionToken: Config.map(optional("AWS_SESSION_TOKEN"), hidden)
}).pipe(
  Config.mapOrFail(({ accessKeyId, secretAccessKey, sessionToken, source }) => {
    if (source === "chain") return Either.right(undefined)
    if (accessKeyId !== undefined && secretAccessKey !== undefined) {
      return Either.right({ accessKeyId, secretAccessKey, sessionToken })
    }
    const missing = [
      ...(accessKeyId === undefined ? ["AWS_ACCESS_KEY_ID"] : []),
      ...(secretAccessKey === undefined ? ["AWS_SECRET_ACCESS_KEY"] : [])
    ]
    return Either.left(
      missing
        .map((setting): ConfigError.ConfigError =>
          ConfigError.InvalidData(
            [setting],
            "is required and not set; set it, or AWS_CREDENTIALS=chain for the SDK's own sources"
          )
        )
        .reduce((left, right) => ConfigError.And(left, right))
    )
  })
)

export const region: Config.Config<string> = Settings.checked("AWS_REGION", Settings.text("AWS_REGION"), regionName)

export interface ClientSettings {
  readonly credentials: Credentials | undefined
  readonly region: string
  /** Where requests go instead of AWS: the service's own setting, or else the common one. */
  readonly endpoint: string | undefined
}

export const client = (service: "S3" | "SQS"): Config.Config<ClientSettings> =>
  Config.all({
    credentials,
    region,
    own: optionalChecked(`AWS_ENDPOINT_URL_${service}`, httpUrl),
    common: optionalChecked("AWS_ENDPOINT_URL", httpUrl)
  }).pipe(
    Config.map(({ common, credentials, own, region }) => ({ credentials, region, endpoint: (own ?? common)?.href }))
  )

/** `required` is for S3-compatible servers that do not know the newer checksums. */
export const checksums: Config.Config<"supported" | "required"> = oneOf("AWS_S3_CHECKSUMS", ["supported", "required"])

/** An optional text that is checked when it is there. */
export const optionalText = (
  setting: string,
  check: (value: string) => Either.Either<string, ReadonlyArray<string>>
): Config.Config<string | undefined> =>
  Settings.checked(
    setting,
    optional(setting),
    (value): Either.Either<string | undefined, ReadonlyArray<string>> =>
      value === undefined ? Either.right(undefined) : check(value)
  )

/** All that the layer of the S3 client reads. */
export const s3 = Config.all({ client: client("S3"), checksums })

/** Checked fields as one value, or the problems of all of them, each under the name of its field. */
export const together = <A extends Record<string, unknown>>(
  fields: { readonly [K in keyof A]: Either.Either<A[K], ReadonlyArray<string>> }
): Either.Either<A, ConfigError.ConfigError> =>
  Either.mapLeft(
    Either.all(fields) as Either.Either<A, ReadonlyArray<string>>,
    () =>
      Object.entries<Either.Either<unknown, ReadonlyArray<string>>>(fields)
        .flatMap(([name, field]) =>
          Either.isLeft(field) ? field.left.map((detail) => ConfigError.InvalidData([name], detail)) : []
        )
        .reduce((left, right) => ConfigError.And(left, right))
  )
