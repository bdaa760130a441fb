/** The settings of one database: from the environment or from the caller, checked, and completed with the defaults. */
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import { ConfigurationError, type ConfigurationProblem } from "../../../Errors.ts"
import { blank, load, notSet, problemsOf } from "../../../internal/settings.ts"
import { boolean, type Check, duration, type Finding, oneOf, wholeNumber } from "../../../internal/valueChecks.ts"
import { defaults } from "./defaults.ts"
import { readSsl, type Ssl } from "./tls.ts"
import * as Url from "./url.ts"
import type { BigintOption } from "./urlOptions.ts"

export type { Ssl } from "./tls.ts"

/** What a database checks when it connects: who we are. */
export interface Credentials {
  /** Default: the user of the URL. */
  readonly user?: string | undefined
  readonly password: Redacted.Redacted
}

export const isolationLevels = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] as const
export type IsolationLevel = typeof isolationLevels[number]

/** Whether a value is the name of an isolation level. At run time it may be anything, and it becomes part of a statement. */
export const isIsolationLevel = (value: unknown): value is IsolationLevel =>
  isolationLevels.some((level) => level === value)

/** What `layerConfig` takes. Only `url` is required; the defaults are those of the environment's settings. */
export interface DatabaseConfig {
  /** `mysql://user:password@host:port/database?options`. */
  readonly url: Redacted.Redacted
  /**
   * Gives the password, and the user if it is not that of the URL, for credentials that change: IAM tokens, Secrets
   * Manager. It is run for each connection that is opened, several times at once if several are, within the connect
   * timeout; connections that are open stay. Let it cache what is slow to read. Its failure is that of the attempt to
   * connect (`MissingCredentials`). The URL must not have a password then.
   */
  readonly credentials?: Effect.Effect<Credentials, unknown> | undefined
  /** Connections that stay open when nobody uses them. 1 to 10000; default 10. */
  readonly poolSize?: number | undefined
  /** Connections above `poolSize` while they are needed, closed on return. 0 to 10000; default 10. */
  readonly maxOverflow?: number | undefined
  /** How long a borrower waits for a connection, dialling included. Above zero, a day at most; default 30 seconds. */
  readonly poolTimeout?: Duration.DurationInput | undefined
  /** The age at which a connection is replaced when it is next asked for; infinite = never. Default 900 seconds. */
  readonly poolRecycle?: Duration.DurationInput | undefined
  /** Whether an idle connection must answer a ping before it is handed out. Default true. */
  readonly poolPrePing?: boolean | undefined
  /** A connection used more recently than this is handed out without a ping; 0 pings always. Default 500 milliseconds. */
  readonly poolPrePingSkip?: Duration.DurationInput | undefined
  /** The deadline of one dial, from TCP to the session's set-up. Above zero, a day at most; default 5 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /** The isolation level of every connection. Default READ COMMITTED. */
  readonly isolationLevel?: IsolationLevel | undefined
  /** `verify` opens one connection while the layer is built, `lazy` waits for the first use. Default verify. */
  readonly startup?: "verify" | "lazy" | undefined
  /**
   * Whether statements with parameters are prepared on the server; false sends them as text, for proxies (RDS Proxy,
   * ProxySQL) that pin or lose prepared statements. Default true.
   */
  readonly preparedStatements?: boolean | undefined
  /** A connection that is held longer is logged, with its borrower; 0 or infinite = never. Default 60 seconds. */
  readonly leakThreshold?: Duration.DurationInput | undefined
  /**
   * How long a statement may take from when it is sent, without the wait for a connection. Then it is stopped on the
   * server and fails with `StatementTimeout`. Of a stream it bounds each wait for further rows. 0 or infinite = without
   * limit; at most a day. Default none.
   */
  readonly statementTimeout?: Duration.DurationInput | undefined
}

/** Checked settings. Times are in milliseconds. */
export interface Settings {
  /** The name of the database in errors, logs and spans. */
  readonly name: string
  readonly host: string
  readonly port: number
  /** The path of a Unix socket, used instead of host and port. */
  readonly socket: string | undefined
  readonly user: string
  readonly password: Redacted.Redacted
  /** Gives user and password of each new connection, instead of those above. */
  readonly credentials: Effect.Effect<Credentials, unknown> | undefined
  readonly database: string
  readonly charset: string
  readonly timezone: string
  readonly dates: "date" | "string"
  readonly bigint: BigintOption
  /** `undefined`: not encrypted. */
  readonly ssl: Ssl | undefined
  readonly allowPublicKeyRetrieval: boolean
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
  /** Infinity = none. */
  readonly statementTimeout: number
}

/**
 * Reads `{prefix}_URL`, `{prefix}_POOL_SIZE` and so on. A setting that is unset or blank has its default.
 *
 * In the environment a duration is a number of seconds (`30`, `0.5`) or a text such as `500 millis`; a boolean is
 * true/false, 1/0, yes/no or on/off.
 */
export const fromEnv = (name: string, prefix: string): Effect.Effect<Settings, ConfigurationError> =>
  Effect.flatMap(read(environment(prefix)), (found) => validate(name, prefix, found))

/** Like {@link fromEnv}; none if the URL is unset or blank, whatever the other settings say. */
export const fromEnvOptional = (
  name: string,
  prefix: string
): Effect.Effect<Option.Option<Settings>, ConfigurationError> =>
  Effect.flatMap(read(environment(prefix)), (found) =>
    found.given.url === undefined && !found.unread.has("url")
      ? Effect.succeedNone
      : Effect.asSome(validate(name, prefix, found)))

/**
 * Like {@link fromEnv}, for values that the caller gives. Problems name the variable that would set the value, and the
 * field.
 */
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

/** Unchecked values: texts if they come from the environment, values of any type if the caller gave them. */
type Given = { readonly [K in keyof DatabaseConfig]?: unknown }

/** The settings that have a variable of their own and a default. */
type Field = Exclude<keyof DatabaseConfig, "url" | "credentials">
type Optionals = Pick<Settings, Field>

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
  leakThreshold: "LEAK_THRESHOLD",
  statementTimeout: "STATEMENT_TIMEOUT"
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
  /** The problems of the configs that failed. */
  readonly problems: ReadonlyArray<ConfigurationProblem>
  /** The fields whose configs failed. */
  readonly unread: ReadonlySet<string>
}

/** Reads each config by itself, so that one that fails does not hide the problems of the others. */
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
  const problems: Array<ConfigurationProblem> = [...found.problems]
  const urlSetting = `${prefix}_URL`
  const url = found.unread.has("url") ? Either.left([]) : readUrl(found.given.url)
  if (Either.isLeft(url)) problems.push(...url.left.map((finding) => ({ setting: urlSetting, ...finding })))
  const target = Either.getOrUndefined(url)

  // CONNECT_TIMEOUT takes precedence over the URL's connect-timeout, which takes precedence over the default.
  const otherwise: Optionals = {
    ...defaults,
    connectTimeout: target?.options.connectTimeout ?? defaults.connectTimeout
  }
  const setting = <K extends Field>(field: K, check: Check<Optionals[K]>): Optionals[K] => {
    const value = found.given[field]
    if (value === undefined || value === null) return otherwise[field]
    const checked = check(value)
    if (Either.isRight(checked)) return checked.right
    const { detail, ...hint } = checked.left
    problems.push({ setting: `${prefix}_${variables[field]}`, detail: `${detail}${origin(field)}`, ...hint })
    return otherwise[field]
  }
  const settings: Optionals = {
    poolSize: setting("poolSize", wholeNumber(1, 10_000)),
    maxOverflow: setting("maxOverflow", overflow),
    poolTimeout: setting("poolTimeout", deadline),
    poolRecycle: setting("poolRecycle", recycle),
    poolPrePing: setting("poolPrePing", boolean),
    poolPrePingSkip: setting("poolPrePingSkip", notNegative),
    connectTimeout: setting("connectTimeout", deadline),
    isolationLevel: setting("isolationLevel", oneOf(isolationLevels)),
    startup: setting("startup", oneOf(startups)),
    preparedStatements: setting("preparedStatements", boolean),
    leakThreshold: setting("leakThreshold", threshold),
    statementTimeout: setting("statementTimeout", limit)
  }
  const credentials = found.given.credentials ?? undefined
  if (credentials !== undefined && !Effect.isEffect(credentials)) {
    problems.push({ setting: urlSetting, detail: "the field credentials must be an Effect" })
  }
  if (credentials !== undefined && target !== undefined && Redacted.value(target.password) !== "") {
    problems.push({
      setting: urlSetting,
      detail: "has a password, and the field credentials gives another",
      hint: "leave the password out of the URL"
    })
  }

  if (target !== undefined && !settings.preparedStatements && !isUtf8(target.options.charset)) {
    problems.push({
      setting: `${prefix}_${variables.preparedStatements}`,
      detail: `must not be false with charset=${target.options.charset}${
        origin("preparedStatements")
      }: in that character set the text of a value may be read as SQL`,
      hint: "use charset=utf8mb4"
    })
  }

  const ssl = target === undefined ? Either.right(undefined) : yield* Effect.either(readSsl(target.options))
  if (Either.isLeft(ssl)) problems.push(...ssl.left.map((finding) => ({ setting: urlSetting, ...finding })))
  if (target === undefined || Either.isLeft(ssl) || problems.length > 0) {
    return yield* new ConfigurationError({ service: name, reason: "InvalidSettings", problems })
  }
  const { database, host, password, port, user } = target
  const { allowPublicKeyRetrieval, bigint, charset, dates, multipleStatements, socket, timezone } = target.options
  return {
    name,
    host,
    port,
    socket,
    user,
    password,
    credentials: credentials as Settings["credentials"],
    database,
    charset,
    timezone,
    dates,
    bigint,
    ssl: ssl.right,
    allowPublicKeyRetrieval,
    multipleStatements,
    ...settings
  } satisfies Settings as Settings
})

/** Whether the character set is UTF-8, in which no byte of another character looks like a quotation mark. */
export const isUtf8 = (charset: string): boolean => /^utf8(?:mb4)?(?:_|$)/.test(charset)

const readUrl = (url: unknown): Either.Either<Url.DatabaseUrl, ReadonlyArray<Finding>> => {
  if (url === undefined) return Either.left([notSet])
  const text = Redacted.isRedacted(url) ? Redacted.value(url) : url
  return typeof text !== "string" || text.trim() === "" ? Either.left([blank]) : Url.parse(text)
}

const startups = ["verify", "lazy"] as const

/** In SQLAlchemy, -1 means an unlimited overflow. */
const overflow: Check<number> = (value) =>
  Either.mapLeft(
    wholeNumber(0, 10_000)(value),
    (finding) =>
      (typeof value === "string" ? Number(value) : value) === -1
        ? { ...finding, hint: "give the most that the server can bear: there is no unlimited overflow" }
        : finding
  )

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

const limit = duration(
  "a time of a day at most, or 0 for none",
  (millis) =>
    millis === 0 || millis === Number.POSITIVE_INFINITY
      ? Number.POSITIVE_INFINITY
      : millis > 0 && millis <= day
      ? millis
      : undefined
)
