/**
 * The AWS settings: read from the environment or given by the caller, and checked. No problem quotes a value:
 * someone may have put a secret there by mistake.
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as Settings from "../../../internal/settings.ts"
import { type Check, type Finding, httpUrl, oneOf } from "../../../internal/valueChecks.ts"

/** The bucket, and how the public URLs of its files begin. */
export interface StorageConfig {
  readonly bucket: string
  /** Replaces `https://{bucket}.s3.{region}.amazonaws.com` in public URLs, for a CDN in front of the bucket. */
  readonly publicBaseUrl?: string | undefined
}

/** The queue. A URL that ends in `.fifo` is that of a FIFO queue. */
export interface QueueConfig {
  readonly url: string
}

export interface ClientSettings {
  /** `undefined` means the SDK's own provider chain. */
  readonly credentials: Credentials | undefined
  readonly region: string
  /** Where requests go instead of AWS: the service's own setting, or else the common one. */
  readonly endpoint: string | undefined
}

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  readonly sessionToken: Redacted.Redacted | undefined
}

export interface S3Settings {
  readonly client: ClientSettings
  /** `required` is for S3-compatible servers that do not know the newer checksums. */
  readonly checksums: "supported" | "required"
}

// Checks.

/** Bucket names as S3 accepts them for new buckets (S3 user guide, "General purpose bucket naming rules"). */
const bucketName: Check<string> = (value) =>
  typeof value === "string" && /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(value) && !value.includes("..")
    ? Either.right(value)
    : Either.left({ detail: "must be 3-63 lower-case letters, digits, dots and hyphens" })

const regionName: Check<string> = (value) =>
  typeof value === "string" && /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value)
    ? Either.right(value)
    : Either.left({ detail: "must be the name of a region such as eu-west-1" })

/** A queue's URL ends in its account and its name (1-80 letters, digits, `-` and `_`, `.fifo` included). */
const queueUrl: Check<string> = (value) =>
  Either.flatMap(httpUrl(value), (url) => {
    const name = url.pathname.split("/").at(-1) ?? ""
    return /^[A-Za-z0-9_-]{1,80}$/.test(name.replace(/\.fifo$/, "")) && name.length <= 80
      ? Either.right(String(value))
      : Either.left({
        detail: "must end in the queue's name, as in https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"
      })
  })

const publicBaseUrl: Check<string> = (value) => Either.map(httpUrl(value), (url) => url.href.replace(/\/+$/, ""))

/** Like `oneOf`, but the value is not quoted: it may be a key, by mistake. */
const oneOfUnquoted = <const A extends string>(names: ReadonlyArray<A>): Check<A> => (value) =>
  Either.mapLeft(oneOf(names)(value), () => ({ detail: `must be one of ${names.join(", ")}` }))

const asList = <A>(check: Check<A>) => (value: unknown): Either.Either<A, ReadonlyArray<Finding>> =>
  Either.mapLeft(check(value), (finding) => [finding])

// Settings of the environment.

const required = <A>(setting: string, check: Check<A>): Config.Config<A> =>
  Settings.checked(setting, Settings.text(setting), asList(check))

/** An optional setting: one that is set but blank counts as not set. */
const optional = <A>(setting: string, check: Check<A>): Config.Config<A | undefined> =>
  Settings.checked(
    setting,
    optionalText(setting),
    (value): Either.Either<A | undefined, ReadonlyArray<Finding>> =>
      value === undefined ? Either.right(undefined) : asList(check)(value)
  )

const optionalText = (setting: string): Config.Config<string | undefined> =>
  Config.string(setting).pipe(
    Config.map((value) => value.trim() === "" ? undefined : value.trim()),
    Config.withDefault<string | undefined>(undefined)
  )

const optionalSecret = (setting: string): Config.Config<Redacted.Redacted | undefined> =>
  Config.map(optionalText(setting), (value) => value === undefined ? undefined : Redacted.make(value))

const credentials: Config.Config<Credentials | undefined> = Config.all({
  source: optional("AWS_CREDENTIALS", oneOfUnquoted(["static", "chain"])),
  accessKeyId: optionalText("AWS_ACCESS_KEY_ID"),
  secretAccessKey: optionalSecret("AWS_SECRET_ACCESS_KEY"),
  sessionToken: optionalSecret("AWS_SESSION_TOKEN")
}).pipe(
  Config.mapOrFail(({ accessKeyId, secretAccessKey, sessionToken, source = "static" }) => {
    if (source === "chain") return Either.right(undefined)
    if (accessKeyId !== undefined && secretAccessKey !== undefined) {
      return Either.right({ accessKeyId, secretAccessKey, sessionToken })
    }
    return Either.left(
      [
        ...(accessKeyId === undefined ? ["AWS_ACCESS_KEY_ID"] : []),
        ...(secretAccessKey === undefined ? ["AWS_SECRET_ACCESS_KEY"] : [])
      ].map((setting) => Settings.invalid(setting, [noKey])).reduce((left, right) => ConfigError.And(left, right))
    )
  })
)

const noKey: Finding = {
  detail: Settings.notSet.detail,
  hint: "set it, or set AWS_CREDENTIALS=chain to use the SDK's own sources"
}

/** What the layer of a client reads. */
export const client = (service: "S3" | "SQS"): Config.Config<ClientSettings> =>
  Config.all({
    credentials,
    region: required("AWS_REGION", regionName),
    own: optional(`AWS_ENDPOINT_URL_${service}`, httpUrl),
    common: optional("AWS_ENDPOINT_URL", httpUrl)
  }).pipe(
    Config.map(({ common, credentials, own, region }) => ({ credentials, region, endpoint: (own ?? common)?.href }))
  )

/** What the layer of the S3 client reads. */
export const s3: Config.Config<S3Settings> = Config.all({
  client: client("S3"),
  checksums: Config.map(
    optional("AWS_S3_CHECKSUMS", oneOfUnquoted(["supported", "required"])),
    (checksums) => checksums ?? "supported"
  )
})

export const storage: Config.Config<StorageConfig> = Config.all({
  bucket: required("IMAGE_S3_BUCKET", bucketName),
  publicBaseUrl: optional("STORAGE_PUBLIC_BASE_URL", publicBaseUrl)
})

export const queue: Config.Config<QueueConfig> = Config.all({ url: required("AWS_SQS_QUEUE_URL", queueUrl) })

// Settings that the caller gives.

export const checkedStorage = (config: StorageConfig): Either.Either<StorageConfig, ConfigError.ConfigError> =>
  together({
    bucket: bucketName(config.bucket),
    publicBaseUrl: config.publicBaseUrl === undefined ? Either.right(undefined) : publicBaseUrl(config.publicBaseUrl)
  })

export const checkedQueue = (config: QueueConfig): Either.Either<QueueConfig, ConfigError.ConfigError> =>
  together({ url: queueUrl(config.url) })

/** Checked fields as one value, or the problems of all of them, each under the name of its field. */
const together = <A extends Record<string, unknown>>(
  fields: { readonly [K in keyof A]: Either.Either<A[K], Finding> }
): Either.Either<A, ConfigError.ConfigError> =>
  Either.mapLeft(
    Either.all(fields) as Either.Either<A, Finding>,
    () =>
      Object.entries<Either.Either<unknown, Finding>>(fields)
        .flatMap(([name, field]) => Either.isLeft(field) ? [Settings.invalid(name, [field.left])] : [])
        .reduce((left, right) => ConfigError.And(left, right))
  )
