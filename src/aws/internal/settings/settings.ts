/**
 * The AWS settings: read from the environment or given by the caller, and checked. No problem quotes a value:
 * someone may have put a secret there by mistake.
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as Settings from "../../../internal/settings.ts"
import { boolean, type Check, type Finding, httpUrl, oneOf, wholeNumber } from "../../../internal/valueChecks.ts"
import { MAX_SIZE } from "../queue/limits.ts"
import type { LargePayloadOptions } from "../queue/model.ts"
import * as Key from "../storage/input/key.ts"
import { bucketName, queueElsewhere, queueUrl, regionName } from "./names.ts"

/** The bucket, and how the public URLs of its files begin. */
export interface StorageConfig {
  readonly bucket: string
  /** Replaces the bucket's address at AWS in public URLs, for a CDN in front of the bucket. */
  readonly publicBaseUrl?: string | undefined
  /** The most memory that all uploads together use for what they read from streams, in MiB. Default: 256. */
  readonly uploadMemoryMiB?: number | undefined
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
  /** AWS's endpoints with FIPS 140 modules. Only without an endpoint of ours, as the next one. */
  readonly fips: boolean
  /** AWS's endpoints that IPv6 reaches, too. */
  readonly dualStack: boolean
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
  /** The bucket is the first segment of the path, and not a part of the host name. */
  readonly forcePathStyle: boolean
}

// Checks.

/** A part of an upload has 8 MiB. */
const mebibytes: Check<number> = (value) =>
  Either.mapLeft(wholeNumber(8, 65_536)(value), () => ({ detail: "must be a whole number of MiB from 8 to 65536" }))

const publicBaseUrl: Check<string> = (value) => Either.map(httpUrl(value), (url) => url.href.replace(/\/+$/, ""))

/** Like `oneOf`, but the value is not quoted: it may be a key, by mistake. */
const oneOfUnquoted = <const A extends string>(names: ReadonlyArray<A>): Check<A> => (value) =>
  Either.mapLeft(oneOf(names)(value), () => ({ detail: `must be one of ${names.join(", ")}` }))

/** Like `boolean`, but the value is not quoted. */
const flag: Check<boolean> = (value) => Either.mapLeft(boolean(value), () => ({ detail: "must be true or false" }))

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

/** Which server is spoken to. An endpoint of ours has no variants of AWS's endpoints. */
const target = (service: "S3" | "SQS"): Config.Config<Pick<ClientSettings, "endpoint" | "fips" | "dualStack">> =>
  Config.all({
    own: optional(`AWS_ENDPOINT_URL_${service}`, httpUrl),
    common: optional("AWS_ENDPOINT_URL", httpUrl),
    fips: switchedOn(FIPS),
    dualStack: switchedOn(DUAL_STACK)
  }).pipe(
    Config.mapOrFail(({ common, dualStack, fips, own }) => {
      const endpoint = (own ?? common)?.href
      const setting = own === undefined ? "AWS_ENDPOINT_URL" : `AWS_ENDPOINT_URL_${service}`
      const finding: Finding = {
        detail: `must not be true while ${setting} is set`,
        hint: "it chooses among the endpoints of AWS: unset one of the two"
      }
      const variants = [...(fips ? [FIPS] : []), ...(dualStack ? [DUAL_STACK] : [])]
      return allOrNothing(
        { endpoint, fips, dualStack },
        endpoint === undefined ? [] : variants.map((variant) => Settings.invalid(variant, [finding]))
      )
    })
  )

const FIPS = "AWS_USE_FIPS_ENDPOINT"
const DUAL_STACK = "AWS_USE_DUALSTACK_ENDPOINT"

const switchedOn = (setting: string): Config.Config<boolean> =>
  Config.map(optional(setting, flag), (value) => value ?? false)

/** What the layer of a client reads. */
export const client = (service: "S3" | "SQS"): Config.Config<ClientSettings> =>
  Config.all({ credentials, region: required("AWS_REGION", regionName), target: target(service) }).pipe(
    Config.map(({ credentials, region, target }) => ({ credentials, region, ...target }))
  )

/** What the layer of the S3 client reads. */
export const s3: Config.Config<S3Settings> = Config.all({
  client: client("S3"),
  checksums: Config.map(
    optional("AWS_S3_CHECKSUMS", oneOfUnquoted(["supported", "required"])),
    (checksums) => checksums ?? "supported"
  ),
  pathStyle: optional("AWS_S3_FORCE_PATH_STYLE", flag)
}).pipe(
  Config.map(({ checksums, client, pathStyle }) => ({
    client,
    checksums,
    // Servers other than AWS rarely have a host name for each bucket.
    forcePathStyle: pathStyle ?? client.endpoint !== undefined
  }))
)

export const storage: Config.Config<StorageConfig> = Config.all({
  bucket: required("IMAGE_S3_BUCKET", bucketName),
  publicBaseUrl: optional("STORAGE_PUBLIC_BASE_URL", publicBaseUrl),
  uploadMemoryMiB: optional("STORAGE_UPLOAD_MEMORY_MIB", mebibytes)
})

/** A queue whose URL is in that setting. */
export const queue = (setting: string): Config.Config<QueueConfig> => Config.all({ url: required(setting, queueUrl) })

/** A queue, with what the layer of its client reads. `setting` is the name of the URL in problems. */
export const queueAndClient = (config: Config.Config<QueueConfig>, setting: string): Config.Config<QueueConfig> =>
  Config.all({ own: config, client: client("SQS") }).pipe(
    Config.mapOrFail(({ client, own }) => {
      const finding = client.endpoint === undefined ? queueElsewhere(own.url, client.region) : undefined
      return allOrNothing(own, finding === undefined ? [] : [Settings.invalid(setting, [finding])])
    })
  )

// Settings that the caller gives.

export const checkedStorage = (config: StorageConfig): Either.Either<StorageConfig, ConfigError.ConfigError> =>
  together({
    bucket: bucketName(config.bucket),
    publicBaseUrl: config.publicBaseUrl === undefined ? Either.right(undefined) : publicBaseUrl(config.publicBaseUrl),
    uploadMemoryMiB: config.uploadMemoryMiB === undefined ? Either.right(undefined) : mebibytes(config.uploadMemoryMiB)
  })

export const checkedQueue = (config: QueueConfig): Either.Either<QueueConfig, ConfigError.ConfigError> =>
  together({ url: queueUrl(config.url) })

export const checkedLargePayloads = (
  { above, deleteAfterAck, maxBytes, prefix }: LargePayloadOptions
): Either.Either<LargePayloadOptions, ConfigError.ConfigError> =>
  together({
    above: above === undefined ? Either.right(undefined) : wholeNumber(0, MAX_SIZE)(above),
    maxBytes: maxBytes === undefined ? Either.right(undefined) : wholeNumber(1, 2 * 1024 ** 3)(maxBytes),
    prefix: Either.mapLeft(Key.prefix("prefix", prefix), ({ detail }): Finding => ({ detail })),
    deleteAfterAck: deleteAfterAck === undefined ? Either.right(undefined) : boolean(deleteAfterAck)
  })

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

const allOrNothing = <A>(
  value: A,
  problems: ReadonlyArray<ConfigError.ConfigError>
): Either.Either<A, ConfigError.ConfigError> => {
  const [first, ...more] = problems
  return first === undefined
    ? Either.right(value)
    : Either.left(more.reduce((left, right) => ConfigError.And(left, right), first))
}
