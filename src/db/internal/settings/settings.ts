/** The settings of one database: read from the environment or given by the caller, checked, with their defaults. */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import { X509Certificate } from "node:crypto"
import * as Fs from "node:fs/promises"
import { ConfigurationError } from "../../../Errors.ts"
import { load, type Problem, problems as problemsOf } from "../../../internal/settings.ts"
import * as Url from "./url.ts"
import { booleanOf } from "./urlOptions.ts"

export type IsolationLevel = "READ UNCOMMITTED" | "READ COMMITTED" | "REPEATABLE READ" | "SERIALIZABLE"

/** What `layerConfig` takes. Only `url` is required; the rest has the defaults of the environment's settings. */
export interface DatabaseConfig {
  /** `mysql://user:password@host:port/database?options`. */
  readonly url: Redacted.Redacted
  /** Connections that are kept when nobody uses them. 1 to 10000; default 10. */
  readonly poolSize?: number | undefined
  /** Connections above `poolSize` while the load asks for them, closed on return. 0 to 10000; default 10. */
  readonly maxOverflow?: number | undefined
  /** How long a borrower waits for a connection, dialling included. Above zero, a day at most; default 30 seconds. */
  readonly poolTimeout?: Duration.DurationInput | undefined
  /** The age at which a connection is replaced when it is next asked for; infinite = never. Default 900 seconds. */
  readonly poolRecycle?: Duration.DurationInput | undefined
  /** Whether an idle connection is asked for a sign of life before it is handed out. Default true. */
  readonly poolPrePing?: boolean | undefined
  /** A connection used more recently than this is handed out without a ping; 0 pings always. Default 500 milliseconds. */
  readonly poolPrePingSkip?: Duration.DurationInput | undefined
  /** The deadline of one dial: TCP, greeting, TLS and login. Above zero, a day at most; default 5 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /** The isolation level of every connection. Default READ COMMITTED. */
  readonly isolationLevel?: IsolationLevel | undefined
  /** `verify` opens one connection while the layer is built, `lazy` waits for the first use. Default verify. */
  readonly startup?: "verify" | "lazy" | undefined
  /**
   * Whether statements with parameters are prepared on the server. Default true; false sends them as text, for proxies
   * (RDS Proxy, ProxySQL) that pin or lose prepared statements.
   */
  readonly preparedStatements?: boolean | undefined
  /** A connection that is held longer is logged, with its borrower; 0 or infinite = never. Default 60 seconds. */
  readonly leakThreshold?: Duration.DurationInput | undefined
}

/** Checked settings. Times are in milliseconds. */
export interface Settings {
  /** The name of the database in errors, logs and spans. */
  readonly name: string
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: Redacted.Redacted
  readonly database: string
  readonly charset: string
  readonly timezone: string
  readonly dates: "date" | "string"
  /** `undefined`: not encrypted. `ca`: the text of the PEM file; without it, the authorities that Node trusts. */
  readonly ssl: Ssl | undefined
  readonly multipleStatements: boolean
  readonly poolSize: number
  readonly maxOverflow: number
  readonly poolTimeout: number
  /** Infinity = never. */
  readonly poolRecycle: number
  readonly poolPrePing: boolean
  /** 0 = ping always. */
  readonly poolPrePingSkip: number
  readonly connectTimeout: number
  readonly isolationLevel: IsolationLevel
  readonly startup: "verify" | "lazy"
  readonly preparedStatements: boolean
  /** Infinity = off. */
  readonly leakThreshold: number
}

export interface Ssl {
  readonly ca: string | undefined
  readonly verifyCa: boolean
  readonly verifyIdentity: boolean
}

/**
 * Reads `{prefix}_URL`, `{prefix}_POOL_SIZE` and so on. Optional ones that are unset or blank have their default.
 *
 * In the environment a duration is a number of seconds (`30`, `0.5`) or a text such as `500 millis`; a boolean is
 * true/false, 1/0, yes/no or on/off.
 */
export const fromEnv = (name: string, prefix: string): Effect.Effect<Settings, ConfigurationError> =>
  Effect.flatMap(read(environment(prefix)), (found) => validate(name, prefix, found))

/** The same; none where the URL is unset or blank, whatever the other settings say. */
export const fromEnvOptional = (
  name: string,
  prefix: string
): Effect.Effect<Option.Option<Settings>, ConfigurationError> =>
  Effect.flatMap(read(environment(prefix)), (found) =>
    found.given.url === undefined && !found.unread.has("url")
      ? Effect.succeedNone
      : Effect.asSome(validate(name, prefix, found)))

/** The same of values that the caller built; problems name the variable that would set it, and the field. */
export const fromConfig = (
  name: string,
  prefix: string,
  config: Config.Config.Wrap<DatabaseConfig>
): Effect.Effect<Settings, ConfigurationError> =>
  Effect.flatMap(
    Config.isConfig(config)
      ? Effect.map(load(name, Config.unwrap(config)), (given): Found => ({ given, problems: [], unread: new Set() }))
      : read(Record.map(config as Readonly<Record<string, Config.Config<unknown>>>, (leaf) => Config.unwrap(leaf))),
    (found) => validate(name, prefix, found, (field) => ` (given as ${field})`)
  )

/** Before checking: texts where they come from the environment, values of any kind where the caller gave them. */
type Given = { readonly [K in keyof DatabaseConfig]?: unknown }

type Field = Exclude<keyof DatabaseConfig, "url">

const variables: Readonly<Record<Field, string>> = {
  poolSize: "POOL_SIZE",
  maxOverflow: "MAX_OVERFLOW",
  poolTimeout: "POOL_TIMEOUT",
  poolRecycle: "POOL_RECYCLE",
  poolPrePing: "POOL_PRE_PING",
  poolPrePingSkip: "POOL_PRE_PING_SKIP",
  connectTimeout: "CONNECT_TIMEOUT",
  isolationLevel: "ISOLATION_LEVEL",
  startup: "STARTUP",
  preparedStatements: "PREPARED_STATEMENTS",
  leakThreshold: "LEAK_THRESHOLD"
}

const environment = (prefix: string): Readonly<Record<string, Config.Config<unknown>>> => ({
  url: unlessBlank(Config.redacted(`${prefix}_URL`), Redacted.value),
  ...Record.map(variables, (suffix) => unlessBlank(Config.string(`${prefix}_${suffix}`), (text) => text))
})

const unlessBlank = <A>(config: Config.Config<A>, text: (value: A) => string): Config.Config<A | undefined> =>
  Config.map(
    Config.option(config),
    (value) => Option.getOrUndefined(Option.filter(value, (found) => text(found).trim() !== ""))
  )

interface Found {
  readonly given: Given
  /** Of the configs that failed. */
  readonly problems: ReadonlyArray<Problem>
  readonly unread: ReadonlySet<string>
}

/** Each config by itself, so that one that fails hides nothing of the others. */
const read = (configs: Readonly<Record<string, Config.Config<unknown>>>): Effect.Effect<Found> =>
  Effect.map(Effect.all(Record.map(configs, (config) => Effect.either(config))), (results) => {
    const [failed, given] = Record.separate(results)
    return { given, problems: Object.values(failed).flatMap(problemsOf), unread: new Set(Object.keys(failed)) }
  })

const validate = Effect.fnUntraced(function*(
  name: string,
  prefix: string,
  found: Found,
  origin: (field: Field) => string = () => ""
) {
  const problems: Array<Problem> = [...found.problems]
  const urlSetting = `${prefix}_URL`
  const setting = <A>(field: Field, otherwise: A, check: Check<A>): A => {
    const value = found.given[field]
    if (value === undefined || value === null) return otherwise
    const checked = check(value)
    if (Either.isRight(checked)) return checked.right
    problems.push({ setting: `${prefix}_${variables[field]}`, detail: `${checked.left}${origin(field)}` })
    return otherwise
  }

  const url = found.unread.has("url") ? Either.left([]) : readUrl(found.given.url)
  if (Either.isLeft(url)) problems.push(...url.left.map((detail) => ({ setting: urlSetting, detail })))
  const target = Either.getOrUndefined(url)
  const settings = {
    poolSize: setting("poolSize", 10, wholeNumber(1, 10_000)),
    maxOverflow: setting("maxOverflow", 10, wholeNumber(0, 10_000)),
    poolTimeout: setting("poolTimeout", 30_000, deadline),
    poolRecycle: setting("poolRecycle", 900_000, recycle),
    poolPrePing: setting("poolPrePing", true, boolean),
    poolPrePingSkip: setting("poolPrePingSkip", 500, notNegative),
    connectTimeout: setting("connectTimeout", target?.options.connectTimeout ?? 5_000, deadline),
    isolationLevel: setting("isolationLevel", "READ COMMITTED", oneOf(isolationLevels)),
    startup: setting("startup", "verify", oneOf(startups)),
    preparedStatements: setting("preparedStatements", true, boolean),
    leakThreshold: setting("leakThreshold", 60_000, threshold)
  }
  const ssl = target === undefined ? Either.right(undefined) : yield* Effect.either(readSsl(target.options))
  if (Either.isLeft(ssl)) problems.push({ setting: urlSetting, detail: ssl.left })
  if (target === undefined || Either.isLeft(ssl) || problems.length > 0) {
    return yield* new ConfigurationError({ service: name, reason: "InvalidSettings", problems })
  }
  const { database, host, password, port, user } = target
  const { charset, dates, multipleStatements, timezone } = target.options
  return {
    name,
    host,
    port,
    user,
    password,
    database,
    charset,
    timezone,
    dates,
    ssl: ssl.right,
    multipleStatements,
    ...settings
  } satisfies Settings as Settings
})

const readUrl = (url: unknown): Either.Either<Url.DatabaseUrl, ReadonlyArray<string>> => {
  if (url === undefined) return Either.left(["is required and not set; set it in the environment"])
  const text = Redacted.isRedacted(url) ? Redacted.value(url) : url
  if (typeof text !== "string" || text.trim() === "") return Either.left(["is set but empty; give it a value"])
  return Url.parse(text)
}

const readSsl = (options: Url.UrlOptions): Effect.Effect<Ssl | undefined, string> => {
  const { sslCa: path, sslMode } = options
  if (sslMode === "DISABLED") return Effect.succeed(undefined)
  const flags = { verifyCa: sslMode !== "REQUIRED", verifyIdentity: sslMode === "VERIFY_IDENTITY" }
  if (path === undefined) return Effect.succeed({ ca: undefined, ...flags })
  return Effect.tryPromise({
    try: () => Fs.readFile(path, "utf8"),
    catch: (error) =>
      `the file of ssl-ca, ${path}, cannot be read (${codeOf(error)}); check the path and its permissions`
  }).pipe(
    // Node passes over what it cannot read, and then trusts nobody; here it is still known which file is at fault.
    Effect.filterOrFail(holdsCertificates, () => `the file of ssl-ca, ${path}, holds no certificates in PEM form`),
    Effect.map((ca) => ({ ca, ...flags }))
  )
}

const holdsCertificates = (pem: string): boolean => {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? []
  return blocks.length > 0 && blocks.every((block) => Either.isRight(Either.try(() => new X509Certificate(block))))
}

const codeOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : "unknown error"

const isolationLevels = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] as const
const startups = ["verify", "lazy"] as const

type Check<A> = (value: unknown) => Either.Either<A, string>

const wholeNumber = (min: number, max: number): Check<number> => (value) => {
  const number = typeof value === "string" ? (/^\s*[+-]?\d+\s*$/.test(value) ? Number(value) : undefined) : value
  if (typeof number === "number" && Number.isInteger(number) && number >= min && number <= max) {
    return Either.right(number)
  }
  return Either.left(
    `has to be a whole number from ${min} to ${max}, not ${show(value)}`
      + (number === -1 && min === 0 ? "; there is no unlimited overflow: the server's connections are limited" : "")
  )
}

const boolean: Check<boolean> = (value) => {
  const flag = typeof value === "string" ? booleanOf(value.trim()) : value
  return typeof flag === "boolean" ? Either.right(flag) : Either.left(`has to be true or false, not ${show(value)}`)
}

const oneOf = <const A extends string>(names: ReadonlyArray<A>): Check<A> => (value) => {
  const plain = typeof value === "string" ? value.trim().toUpperCase().replace(/[-_\s]+/g, " ") : ""
  const found = names.find((name) => name.toUpperCase() === plain)
  return found === undefined
    ? Either.left(`has to be one of ${names.join(", ")}, not ${show(value)}`)
    : Either.right(found)
}

/** Milliseconds; `undefined` where the value is no duration. A number in a text is seconds. */
const millisOf = (value: unknown): number | undefined => {
  if (typeof value === "number") return Number.isNaN(value) ? undefined : value
  if (typeof value !== "string") {
    return Option.getOrUndefined(Option.map(Duration.decodeUnknown(value), Duration.toMillis))
  }
  const text = value.trim()
  if (/^[+-]?(?:\d+(?:\.\d+)?|infinity)$/i.test(text)) return Number(text.replace(/infinity/i, "Infinity")) * 1000
  return text.startsWith("-")
    ? undefined
    : Option.getOrUndefined(Option.map(Duration.decodeUnknown(text), Duration.toMillis))
}

const duration = (wanted: string, convert: (millis: number) => number | undefined): Check<number> => (value) => {
  const millis = millisOf(value)
  const converted = millis === undefined ? undefined : convert(millis)
  return converted === undefined
    ? Either.left(`has to be ${wanted}, as seconds or with a unit ("30", "500 millis"), not ${show(value)}`)
    : Either.right(converted)
}

const day = 86_400_000

const deadline = duration(
  "a time above zero, of a day at most",
  (millis) => millis > 0 && millis <= day ? millis : undefined
)

const recycle = duration(
  "a time above zero, or -1 for never",
  (millis) => millis > 0 ? millis : millis < 0 ? Number.POSITIVE_INFINITY : undefined
)

const notNegative = duration("a time of zero or more", (millis) => millis >= 0 ? millis : undefined)

const threshold = duration(
  "a time above zero, or 0 for off",
  (millis) => millis > 0 ? millis : millis === 0 ? Number.POSITIVE_INFINITY : undefined
)

const show = (value: unknown): string => {
  const text = typeof value === "string"
    ? JSON.stringify(value)
    : Duration.isDuration(value)
    ? Duration.format(value)
    : Inspectable.toStringUnknown(value, 0)
  return text.length <= 40 ? text : `${text.slice(0, 37)}...`
}
