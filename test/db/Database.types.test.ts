import type * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as Migrator from "@effect/sql/Migrator"
import type * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { expectTypeOf } from "vitest"
import type { IsolationLevel, Stats, TransactionOptions } from "../../src/db/Database.ts"
import * as Database from "../../src/db/Database.ts"
import { BloodDb, GarminDb, MainDb, UfcDb } from "../../src/db/Database.ts"
import type { ConfigurationError, DatabaseError } from "../../src/Errors.ts"

class FifthDb extends Database.Tag("FifthDb", { prefix: "FIFTH_DB" })<FifthDb>() {}
class SixthDb extends Database.Tag("SixthDb", { prefix: "SIXTH_DB" })<SixthDb>() {}

class Mine extends Error {
  readonly _tag = "Mine"
}
class Needed extends Context.Tag("Needed")<Needed, number>() {}

type Channels = ConfigurationError | DatabaseError

const mine = Effect.zipRight(Needed, Effect.fail(new Mine()))
const both: Effect.Effect<string, Mine | SqlError, Needed> = Effect.zipRight(
  mine,
  Effect.fail(new SqlError({ cause: 0 }))
)

describe("the types of a database", () => {
  it("are those of a tag whose service is the client", () => {
    expectTypeOf<Context.Tag.Service<typeof MainDb>>().toEqualTypeOf<SqlClient.SqlClient>()
    expectTypeOf<Context.Tag.Identifier<typeof MainDb>>().toEqualTypeOf<MainDb>()
    expectTypeOf<Effect.Effect.Success<typeof MainDb>>().toEqualTypeOf<SqlClient.SqlClient>()
    expectTypeOf<Effect.Effect.Context<typeof MainDb>>().toEqualTypeOf<MainDb>()
    expectTypeOf<Effect.Effect.Error<typeof MainDb>>().toEqualTypeOf<never>()
  })

  it("tell the databases apart", () => {
    const all = Effect.all([MainDb, GarminDb, BloodDb, UfcDb, SixthDb])
    expectTypeOf<Effect.Effect.Context<typeof all>>().toEqualTypeOf<MainDb | GarminDb | BloodDb | UfcDb | SixthDb>()
    expectTypeOf(GarminDb.layer).toEqualTypeOf<Layer.Layer<GarminDb, Channels>>()
    // @ts-expect-error a layer of one database does not provide another
    const wrong: Layer.Layer<MainDb, Channels> = GarminDb.layer
    expect(wrong).toBe(GarminDb.layer)
  })

  it("of layers", () => {
    expectTypeOf(MainDb.layer).toEqualTypeOf<Layer.Layer<MainDb, Channels>>()
    expectTypeOf(MainDb.layerConfig).toEqualTypeOf<
      (config: Config.Config.Wrap<Database.DatabaseConfig>) => Layer.Layer<MainDb, Channels>
    >()
    expectTypeOf(MainDb.layerOptional).toEqualTypeOf<Layer.Layer<never, Channels>>()
    expectTypeOf(MainDb.fromSqlClient).toEqualTypeOf<Layer.Layer<MainDb, never, SqlClient.SqlClient>>()
    expectTypeOf(MainDb.layerConfig({ url: Config.redacted("URL"), poolSize: Config.succeed(2) })).toEqualTypeOf(
      MainDb.layer
    )
    // @ts-expect-error the URL is required
    expectTypeOf(MainDb.layerConfig).toBeCallableWith({})
    // @ts-expect-error a plain text would be shown in logs
    expectTypeOf<Database.DatabaseConfig>().toMatchTypeOf<{ readonly url: string }>()
  })

  it("of require and stats", () => {
    expectTypeOf(MainDb.require).toEqualTypeOf<Effect.Effect<SqlClient.SqlClient, ConfigurationError>>()
    expectTypeOf(MainDb.stats).toEqualTypeOf<Effect.Effect<Stats, never, MainDb>>()
  })

  it("of use: SqlError becomes DatabaseError, all else stays", () => {
    expectTypeOf(MainDb.use((sql) => sql<{ a: number }>`SELECT 1 AS a`)).toEqualTypeOf<
      Effect.Effect<ReadonlyArray<{ a: number }>, DatabaseError, MainDb>
    >()
    expectTypeOf(MainDb.use(() => both)).toEqualTypeOf<Effect.Effect<string, Mine | DatabaseError, MainDb | Needed>>()
    expectTypeOf(MainDb.use(() => Effect.void)).toEqualTypeOf<Effect.Effect<void, DatabaseError, MainDb>>()
  })

  it("of afterCommit and outside", () => {
    expectTypeOf(MainDb.afterCommit(Effect.asVoid(Needed))).toEqualTypeOf<Effect.Effect<void, never, MainDb | Needed>>()
    expectTypeOf(MainDb.afterCommit(Effect.void, { whenUnknown: "run" })).toEqualTypeOf<
      Effect.Effect<void, never, MainDb>
    >()
    // What it fails with would be lost: the transaction is committed.
    expectTypeOf(mine).not.toMatchTypeOf<Parameters<typeof MainDb.afterCommit>[0]>()
    expectTypeOf(MainDb.outside(both)).toEqualTypeOf<Effect.Effect<string, Mine | DatabaseError, MainDb | Needed>>()
  })

  it("of withTransaction, data-first and data-last", () => {
    type Expected = Effect.Effect<string, Mine | DatabaseError, MainDb | Needed>
    expectTypeOf(MainDb.withTransaction(both)).toEqualTypeOf<Expected>()
    expectTypeOf(MainDb.withTransaction(both, { isolation: "SERIALIZABLE", retries: 2 })).toEqualTypeOf<Expected>()
    expectTypeOf(both.pipe(MainDb.withTransaction())).toEqualTypeOf<Expected>()
    expectTypeOf(both.pipe(MainDb.withTransaction({ readOnly: true, timeout: "1 second" }))).toEqualTypeOf<Expected>()
    expectTypeOf(MainDb.withTransaction(Effect.succeed(1))).toEqualTypeOf<
      Effect.Effect<number, DatabaseError, MainDb>
    >()
    const two = GarminDb.withTransaction(MainDb.withTransaction(Effect.void))
    expectTypeOf(two).toEqualTypeOf<Effect.Effect<void, DatabaseError, MainDb | GarminDb>>()
    expectTypeOf<NonNullable<TransactionOptions["isolation"]>>().toEqualTypeOf<IsolationLevel>()
    // @ts-expect-error there is no such level
    const level = MainDb.withTransaction(Effect.void, { isolation: "SNAPSHOT" })
    // @ts-expect-error there is no such option
    const option = MainDb.withTransaction(Effect.void, { retry: 1 })
    expect([level, option].every(Effect.isEffect)).toBe(true)
  })

  it("of toSqlClient", () => {
    type Client = SqlClient.SqlClient | MysqlClient.MysqlClient
    expectTypeOf(MainDb.toSqlClient).toEqualTypeOf<Layer.Layer<Client, never, MainDb>>()
    expectTypeOf(GarminDb.toSqlClientWith({ transformQueryNames: (name) => name.toLowerCase() })).toEqualTypeOf<
      Layer.Layer<Client, never, GarminDb>
    >()
    // @ts-expect-error there is no such option: connections are those of the database
    const option = MainDb.toSqlClientWith({ maxConnections: 3 })
    expect(option).toBeDefined()
  })

  it("of migrate: a DatabaseError or upstream's MigrationError, and what the loader needs", () => {
    type Expected<R> = Effect.Effect<
      ReadonlyArray<readonly [id: number, name: string]>,
      DatabaseError | Migrator.MigrationError,
      R
    >
    const loader: Migrator.Loader<Needed> = Effect.zipRight(Needed, Migrator.fromRecord({ "1_a": Effect.void }))
    expectTypeOf(MainDb.migrate(Migrator.fromRecord({}))).toEqualTypeOf<Expected<MainDb>>()
    expectTypeOf(GarminDb.migrate(loader, { table: "t", lockTimeout: "1 second" })).toEqualTypeOf<
      Expected<GarminDb | Needed>
    >()
    // @ts-expect-error there is no such option
    const option = MainDb.migrate(loader, { retries: 1 })
    expect(Effect.isEffect(option)).toBe(true)
  })

  it("of write", () => {
    expectTypeOf(MainDb.use((sql) => Database.write(sql`DELETE FROM a`))).toEqualTypeOf<
      Effect.Effect<Database.WriteResult, DatabaseError, MainDb>
    >()
  })
})

describe("a fifth database is one line", () => {
  it("only as the base of a class, which names its service", () => {
    // @ts-expect-error without a class, all such databases would be the same to the type checker
    expect(Database.Tag("Nameless", { prefix: "NAMELESS" }).layer).toBeUndefined()
    // @ts-expect-error a layer of one database does not provide another
    const wrong: Layer.Layer<FifthDb, Channels> = SixthDb.layer
    expect(wrong).toBe(SixthDb.layer)
  })

  it("with all that the four have", () => {
    expectTypeOf(SixthDb.layer).toEqualTypeOf<Layer.Layer<SixthDb, Channels>>()
    expectTypeOf(SixthDb.withTransaction(Effect.void)).toEqualTypeOf<Effect.Effect<void, DatabaseError, SixthDb>>()
    expectTypeOf<Effect.Effect.Context<typeof SixthDb>>().toEqualTypeOf<SixthDb>()
    expectTypeOf<Effect.Effect.Success<typeof SixthDb>>().toEqualTypeOf<SqlClient.SqlClient>()
    expectTypeOf(SixthDb.use((sql) => sql`SELECT 1`)).toMatchTypeOf<Effect.Effect<unknown, DatabaseError, SixthDb>>()
    expectTypeOf(SixthDb.databaseName).toEqualTypeOf<"SixthDb">()
    expect([SixthDb.key, SixthDb.databaseName, SixthDb.prefix]).toEqual([
      "@betterai/infrastructure/SixthDb",
      "SixthDb",
      "SIXTH_DB"
    ])
    expect(Context.isTag(SixthDb)).toBe(true)
  })

  it.effect("and says which setting is missing where nobody provided it", () =>
    Effect.gen(function*() {
      for (const [tag, setting] of [[FifthDb, "FIFTH_DB_URL"], [SixthDb, "SIXTH_DB_URL"]] as const) {
        const error = yield* Effect.flip(tag.require)
        expect(error).toMatchObject({ _tag: "ConfigurationError", reason: "NotConfigured" })
        expect(error.problems.map((problem) => problem.setting)).toEqual([setting])
      }
    }))

  it.effect("and is found by its tag, and by no other", () =>
    Effect.gen(function*() {
      const client = { fake: true } as unknown as SqlClient.SqlClient
      expect(yield* Effect.provideService(SixthDb, SixthDb, client)).toBe(client)
      expect(yield* Effect.provideService(SixthDb.require, SixthDb, client)).toBe(client)
      expect(yield* Effect.provideService(SixthDb.use((sql) => Effect.succeed(sql)), SixthDb, client)).toBe(client)
      const missing = yield* Effect.flip(Effect.provideService(MainDb.require, SixthDb, client))
      expect(missing.service).toBe("MainDb")
    }))
})
