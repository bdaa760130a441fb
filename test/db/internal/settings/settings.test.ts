import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import { expectTypeOf } from "vitest"
import {
  type DatabaseConfig,
  fromConfig,
  fromEnv,
  fromEnvOptional,
  type IsolationLevel,
  type Settings
} from "../../../../src/db/internal/settings/settings.ts"
import { ConfigurationError } from "../../../../src/Errors.ts"

const url = "mysql://app:S3CR3T@db.example.com/main"

const withEnv = (env: Readonly<Record<string, string>>) => <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.withConfigProvider(effect, ConfigProvider.fromMap(new Map(Object.entries(env))))

const read = (env: Readonly<Record<string, string>>) =>
  fromEnv("MainDb", "MAIN_DB").pipe(withEnv(
    Object.fromEntries(Object.entries({ URL: url, ...env }).map(([key, value]) => [`MAIN_DB_${key}`, value]))
  ))

const problems = <A>(effect: Effect.Effect<A, ConfigurationError>) =>
  Effect.map(Effect.flip(effect), (error) => {
    for (const text of [error.message, String(error), JSON.stringify(error), inspect(error, { depth: 9 })]) {
      expect(text).not.toContain("S3CR3T")
    }
    return error.problems
  })

const configured = (config: { readonly [K in keyof DatabaseConfig]?: Config.Config<DatabaseConfig[K]> }) =>
  fromConfig("MainDb", "MAIN_DB", { url: Config.succeed(Redacted.make(url)), ...config })

describe("fromEnv", () => {
  it.effect("has the documented defaults", () =>
    Effect.gen(function*() {
      const { password, ...settings } = yield* read({})
      expect(Redacted.value(password)).toBe("S3CR3T")
      expect(settings).toEqual({
        name: "MainDb",
        host: "db.example.com",
        port: 3306,
        socket: undefined,
        user: "app",
        credentials: undefined,
        database: "main",
        charset: "utf8mb4",
        timezone: "+00:00",
        dates: "date",
        bigint: "number",
        ssl: undefined,
        allowPublicKeyRetrieval: false,
        multipleStatements: false,
        poolSize: 10,
        maxOverflow: 10,
        poolTimeout: 30_000,
        poolRecycle: 900_000,
        poolPrePing: true,
        poolPrePingSkip: 500,
        connectTimeout: 5_000,
        isolationLevel: "READ COMMITTED",
        startup: "verify",
        preparedStatements: true,
        leakThreshold: 60_000,
        statementTimeout: Infinity
      })
    }))

  it.effect.each<readonly [string, string, Partial<Settings>]>([
    ["POOL_SIZE", " 25 ", { poolSize: 25 }],
    ["POOL_SIZE", "", { poolSize: 10 }],
    ["MAX_OVERFLOW", "0", { maxOverflow: 0 }],
    ["POOL_TIMEOUT", "0.5", { poolTimeout: 500 }],
    ["POOL_TIMEOUT", "500 millis", { poolTimeout: 500 }],
    ["POOL_TIMEOUT", "2 minutes", { poolTimeout: 120_000 }],
    ["POOL_RECYCLE", "-1", { poolRecycle: Infinity }],
    ["POOL_RECYCLE", "infinity", { poolRecycle: Infinity }],
    ["POOL_RECYCLE", "3600", { poolRecycle: 3_600_000 }],
    ["POOL_PRE_PING", "False", { poolPrePing: false }],
    ["POOL_PRE_PING", "ON", { poolPrePing: true }],
    ["POOL_PRE_PING_SKIP", "0", { poolPrePingSkip: 0 }],
    ["CONNECT_TIMEOUT", "3", { connectTimeout: 3_000 }],
    ["ISOLATION_LEVEL", "repeatable_read", { isolationLevel: "REPEATABLE READ" }],
    ["ISOLATION_LEVEL", "Read-Uncommitted", { isolationLevel: "READ UNCOMMITTED" }],
    ["ISOLATION_LEVEL", "SERIALIZABLE", { isolationLevel: "SERIALIZABLE" }],
    ["STARTUP", "Lazy", { startup: "lazy" }],
    ["PREPARED_STATEMENTS", "no", { preparedStatements: false }],
    ["LEAK_THRESHOLD", "0", { leakThreshold: Infinity }],
    ["LEAK_THRESHOLD", "5", { leakThreshold: 5_000 }],
    ["LEAK_THRESHOLD", "30 days", { leakThreshold: 2_592_000_000 }],
    ["STATEMENT_TIMEOUT", "1.5", { statementTimeout: 1_500 }],
    ["STATEMENT_TIMEOUT", "0", { statementTimeout: Infinity }],
    ["STATEMENT_TIMEOUT", "infinity", { statementTimeout: Infinity }]
  ])(
    "%s",
    ([setting, value, expected]) =>
      Effect.map(read({ [setting]: value }), (settings) => expect(settings).toMatchObject(expected))
  )

  it.effect.each<readonly [string, string, string]>([
    ["POOL_SIZE", "0", "from 1 to 10000, not \"0\""],
    ["POOL_SIZE", "ten", "whole number"],
    ["POOL_SIZE", "1.5", "whole number"],
    ["POOL_SIZE", "10001", "whole number"],
    ["POOL_SIZE", "0x10", "whole number"],
    ["MAX_OVERFLOW", "-1", "must be a whole number from 0 to 10000, not \"-1\""],
    ["STATEMENT_TIMEOUT", "-1", "or 0 for none"],
    ["STATEMENT_TIMEOUT", "25 hours", "a day at most"],
    ["POOL_TIMEOUT", "0", "above zero"],
    ["POOL_TIMEOUT", "-5", "above zero"],
    ["POOL_TIMEOUT", "-5 seconds", "above zero"],
    ["POOL_TIMEOUT", "infinity", "a day at most"],
    ["POOL_TIMEOUT", "soon", "\"500 millis\""],
    ["POOL_RECYCLE", "0", "-1 for never"],
    ["POOL_PRE_PING", "maybe", "true or false"],
    ["POOL_PRE_PING_SKIP", "-1", "zero or more"],
    ["CONNECT_TIMEOUT", "0", "above zero"],
    ["ISOLATION_LEVEL", "AUTOCOMMIT", "READ COMMITTED"],
    ["ISOLATION_LEVEL", "x".repeat(100), "xxx..."],
    ["STARTUP", "eager", "verify, lazy"],
    ["PREPARED_STATEMENTS", "2", "true or false"],
    ["LEAK_THRESHOLD", "-1", "0 for off"]
  ])("%s = %s is refused", ([setting, value, words]) =>
    Effect.map(problems(read({ [setting]: value })), (found) => {
      expect(found).toHaveLength(1)
      expect(found[0]?.setting).toBe(`MAIN_DB_${setting}`)
      expect(found[0]?.detail).toContain(words)
    }))

  it.effect("says apart what is wrong and what to do", () =>
    Effect.gen(function*() {
      expect(yield* problems(read({ MAX_OVERFLOW: "-1" }))).toEqual([{
        setting: "MAIN_DB_MAX_OVERFLOW",
        detail: "must be a whole number from 0 to 10000, not \"-1\"",
        hint: "give the most that the server can bear: there is no unlimited overflow"
      }])
      expect(yield* problems(read({ MAX_OVERFLOW: "-2" }))).toEqual([
        { setting: "MAIN_DB_MAX_OVERFLOW", detail: "must be a whole number from 0 to 10000, not \"-2\"" }
      ])
      expect(yield* problems(configured({ maxOverflow: Config.succeed(-1) }))).toEqual([{
        setting: "MAIN_DB_MAX_OVERFLOW",
        detail: "must be a whole number from 0 to 10000, not -1 (given as maxOverflow)",
        hint: "give the most that the server can bear: there is no unlimited overflow"
      }])
      expect(yield* problems(read({ URL: "localhost" }))).toEqual([{
        setting: "MAIN_DB_URL",
        detail: "does not begin with a scheme",
        hint: "write it as mysql://user:password@host:3306/database"
      }])
      expect(yield* problems(read({ URL: `${url}?ssl-ca=/absent.pem` }))).toEqual([{
        setting: "MAIN_DB_URL",
        detail: "the file of ssl-ca, /absent.pem, cannot be read (ENOENT)",
        hint: "check the path and its permissions"
      }])
    }))

  it.effect("lists every problem, of the URL and of the pool", () =>
    Effect.gen(function*() {
      const found = yield* problems(read({
        URL: "postgres://u:S3CR3T@h/d?charset=x",
        POOL_SIZE: "0",
        STARTUP: "x",
        POOL_TIMEOUT: "y"
      }))
      expect(found.map(({ setting }) => setting)).toEqual([
        "MAIN_DB_URL",
        "MAIN_DB_URL",
        "MAIN_DB_POOL_SIZE",
        "MAIN_DB_POOL_TIMEOUT",
        "MAIN_DB_STARTUP"
      ])
    }))

  it.effect("refuses the text protocol in a character set other than UTF-8", () =>
    Effect.gen(function*() {
      const settings = { PREPARED_STATEMENTS: "false" }
      for (const charset of ["sjis", "gbk", "big5", "cp932", "gb18030", "latin1", "ascii", "binary"]) {
        expect(yield* problems(read({ ...settings, URL: `${url}?charset=${charset}` }))).toEqual([{
          setting: "MAIN_DB_PREPARED_STATEMENTS",
          detail:
            `must not be false with charset=${charset}: in that character set the text of a value may be read as SQL`,
          hint: "use charset=utf8mb4"
        }])
        yield* read({ URL: `${url}?charset=${charset}` })
      }
      for (const charset of ["utf8mb4", "utf8mb4_unicode_ci", "utf8", "utf8mb3"]) {
        yield* read({ ...settings, URL: `${url}?charset=${charset}` })
      }
    }))

  it.effect("a missing URL is one problem among the others", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(fromEnv("MainDb", "MAIN_DB").pipe(withEnv({ MAIN_DB_POOL_SIZE: "x" })))
      expect(error).toBeInstanceOf(ConfigurationError)
      expect(error).toMatchObject({ service: "MainDb", reason: "InvalidSettings" })
      expect(error.problems.map(({ setting }) => setting)).toEqual(["MAIN_DB_URL", "MAIN_DB_POOL_SIZE"])
      expect(error.message).toContain("MAIN_DB_URL: is required and not set; set it in the environment")
      expect(error.problems[0]).toEqual({
        setting: "MAIN_DB_URL",
        detail: "is required and not set",
        hint: "set it in the environment"
      })
    }))

  it.effect("CONNECT_TIMEOUT goes before the URL's connect-timeout, and that before the default", () =>
    Effect.gen(function*() {
      const URL = `${url}?connect_timeout=7`
      expect((yield* read({ URL })).connectTimeout).toBe(7_000)
      expect((yield* read({ URL, CONNECT_TIMEOUT: "2" })).connectTimeout).toBe(2_000)
    }))
})

describe("fromEnvOptional", () => {
  it.effect("none where the URL is unset or blank, whatever else is set", () =>
    Effect.gen(function*() {
      for (const env of [{}, { MAIN_DB_URL: " " }, { MAIN_DB_POOL_SIZE: "x" }]) {
        expect(Option.isNone(yield* fromEnvOptional("MainDb", "MAIN_DB").pipe(withEnv(env)))).toBe(true)
      }
    }))

  it.effect("some where it is set, and its problems", () =>
    Effect.gen(function*() {
      const optional = fromEnvOptional("MainDb", "MAIN_DB")
      expect(yield* optional.pipe(withEnv({ MAIN_DB_URL: url }))).toEqual(Option.some(yield* read({})))
      expect(yield* problems(optional.pipe(withEnv({ MAIN_DB_URL: "x", MAIN_DB_POOL_SIZE: "x" })))).toHaveLength(2)
    }))
})

describe("fromConfig", () => {
  it.effect("takes durations of any form, and the environment's defaults", () =>
    Effect.gen(function*() {
      expect(yield* configured({})).toEqual(yield* read({}))
      const settings = yield* configured({
        poolSize: Config.succeed(3),
        poolTimeout: Config.succeed("2 seconds" as const),
        poolRecycle: Config.succeed(Duration.infinity),
        poolPrePingSkip: Config.succeed(0),
        connectTimeout: Config.succeed(250),
        leakThreshold: Config.succeed(Duration.zero),
        isolationLevel: Config.succeed("SERIALIZABLE" as const),
        startup: Config.succeed("lazy" as const),
        preparedStatements: Config.succeed(undefined)
      })
      expect(settings).toMatchObject({
        poolSize: 3,
        poolTimeout: 2_000,
        poolRecycle: Infinity,
        poolPrePingSkip: 0,
        connectTimeout: 250,
        leakThreshold: Infinity,
        isolationLevel: "SERIALIZABLE",
        startup: "lazy",
        preparedStatements: true
      })
    }))

  it.effect("lists what cannot be read together with what is wrong", () =>
    Effect.gen(function*() {
      const found = yield* problems(
        fromConfig("MainDb", "MAIN_DB", {
          url: Config.redacted("MY_URL"),
          maxOverflow: Config.integer("MY_OVERFLOW"),
          poolSize: Config.succeed(0),
          poolTimeout: Config.succeed(Duration.infinity),
          isolationLevel: Config.succeed("SNAPSHOT" as IsolationLevel)
        }).pipe(withEnv({ MY_OVERFLOW: "x" }))
      )
      expect(found.map(({ setting }) => setting)).toEqual([
        "MY_URL",
        "MY_OVERFLOW",
        "MAIN_DB_POOL_SIZE",
        "MAIN_DB_POOL_TIMEOUT",
        "MAIN_DB_ISOLATION_LEVEL"
      ])
      expect(found[2]?.detail).toContain("not 0 (given as poolSize)")
    }))

  it.effect("takes an Effect for user and password, and no second password", () =>
    Effect.gen(function*() {
      const credentials = Effect.succeed({ password: Redacted.make("S3CR3T") })
      const without = Config.succeed(Redacted.make("mysql://app@db.example.com/main"))
      const settings = yield* configured({ url: without, credentials: Config.succeed(credentials) })
      expect(settings).toMatchObject({ user: "app", credentials })
      expect(yield* problems(configured({ credentials: Config.succeed(credentials) }))).toEqual([{
        setting: "MAIN_DB_URL",
        detail: "has a password, and the field credentials gives another",
        hint: "leave the password out of the URL"
      }])
      const noEffect = Config.succeed({ password: "S3CR3T" } as never)
      expect(yield* problems(configured({ url: without, credentials: noEffect }))).toEqual([
        { setting: "MAIN_DB_URL", detail: "the field credentials must be an Effect" }
      ])
    }))

  it.effect("takes one config of the whole", () =>
    Effect.gen(function*() {
      const whole = Config.succeed<DatabaseConfig>({ url: Redacted.make(url), poolSize: 4 })
      expect((yield* fromConfig("MainDb", "MAIN_DB", whole)).poolSize).toBe(4)
      const absent = Config.map(Config.redacted("MY_URL"), (url) => ({ url }))
      expect(yield* problems(fromConfig("MainDb", "MAIN_DB", absent).pipe(withEnv({})))).toMatchObject([{
        setting: "MY_URL"
      }])
      const empty = Config.succeed<DatabaseConfig>({ url: Redacted.make(" ") })
      expect(yield* problems(fromConfig("MainDb", "MAIN_DB", empty))).toEqual([
        { setting: "MAIN_DB_URL", detail: "is set but empty", hint: "give it a value" }
      ])
    }))
})

it("types", () => {
  expectTypeOf(fromEnv).returns.toEqualTypeOf<Effect.Effect<Settings, ConfigurationError>>()
  expectTypeOf(fromEnvOptional).returns.toEqualTypeOf<Effect.Effect<Option.Option<Settings>, ConfigurationError>>()
  expectTypeOf(fromConfig).returns.toEqualTypeOf<Effect.Effect<Settings, ConfigurationError>>()
  // @ts-expect-error the URL is required
  void fromConfig("MainDb", "MAIN_DB", { poolSize: Config.succeed(1) })
  // @ts-expect-error a password that is not redacted
  void configured({ credentials: Config.succeed(Effect.succeed({ password: "p" })) })
  // @ts-expect-error a level that MySQL does not have
  void configured({ isolationLevel: Config.succeed("SNAPSHOT" as const) })
})
