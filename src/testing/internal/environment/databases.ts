/** Databases that exist for as long as a layer: made, filled, provided, dropped. */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import type { DatabaseTag } from "../../../db/Database.ts"
import { makeError } from "../../../db/internal/errors/classify.ts"
import { ConfigurationError, type DatabaseError } from "../../../Errors.ts"
import * as Settings from "../../../internal/settings.ts"
import { make as startServer } from "../../../local/internal/mysql.ts"
import { inRealTime } from "../../../local/internal/process.ts"
import * as LeftOvers from "./leftOvers.ts"
import type { Made, Seeds, Surroundings, TablesError, TableSource, TestDatabase } from "./model.ts"
import * as Names from "./names.ts"
import * as Restore from "./restore.ts"
import { plant } from "./seeds.ts"
import { open, quoted, type Session } from "./session.ts"
import * as Tables from "./tables.ts"

/** Which of the processes of a run this is: vitest numbers its workers. */
const worker = Config.withDefault(
  Config.orElse(Config.string("VITEST_POOL_ID"), () => Config.string("VITEST_WORKER_ID")),
  "0"
)

export const layer = (
  databases: ReadonlyArray<TestDatabase<unknown, unknown, unknown>>
): Layer.Layer<never, unknown, unknown> =>
  Layer.unwrapScoped(
    Effect.gen(function*() {
      yield* distinct(databases)
      const settings = yield* Effect.configProviderWith(Effect.succeed)
      const clock = yield* Effect.clock
      const id = yield* Settings.load("Testing", worker)
      const server = yield* startServer()
      const session = yield* open("Testing", "LOCAL_MYSQL", server.url("information_schema"))
      // It says that the databases are in use, for as long as the layer lives.
      yield* session.run(`SET SESSION wait_timeout = ${YEAR}`)
      // Without it MySQL tells for a day where AUTO_INCREMENT was. MariaDB knows no such variable, and always looks.
      yield* Effect.catchIf(
        session.run("SET SESSION information_schema_stats_expiry = 0"),
        ({ errno }) => errno === UNKNOWN_VARIABLE,
        () => Effect.void
      )
      yield* LeftOvers.drop(session)
      const made = yield* Effect.forEach(
        databases,
        ({ make }) => make({ clock, worker: id, settings, server, session })
      )
      return Layer.merge(
        Layer.succeedContext(Context.mergeAll(...made.map(({ context }) => context))),
        Layer.setConfigProvider(withUrls(settings, made))
      )
    }).pipe(inRealTime)
  )

const UNKNOWN_VARIABLE = 1193

/** In seconds; MariaDB on Windows takes no more than 24 days, and cuts it down to that. */
const YEAR = 31_536_000

/** Makes a database, fills it, and notes how it begins. */
export const make = <Self, E, R>(
  tag: DatabaseTag<Self, string>,
  tables: ReadonlyArray<TableSource<R>>,
  seeds: ReadonlyArray<Seeds<Self, E, R>>
) =>
(
  { clock, server, session, settings, worker }: Surroundings
): Effect.Effect<Made, TablesError | E, Exclude<R, Self> | Scope.Scope> =>
  Effect.gen(function*() {
    const name = yield* held(session, tag, worker)
    yield* created(session, name)
    const variable = `${tag.prefix}_URL`
    const url = server.url(name)
    const context = yield* Layer.build(
      Layer.provide(tag.layer, Layer.setConfigProvider(withUrls(settings, [{ variable, url }])))
    )
    yield* Effect.zipRight(
      Tables.fill({ session, tag, database: name, url: server.url }, tables),
      // A seed may ask for the time of the test.
      Effect.forEach(seeds, (seed) => Effect.withClock(plant(tag, seed), clock), { discard: true })
    ).pipe(Effect.provide(context))
    const beginning = yield* Restore.note(session, tag.databaseName, name, created(session, `${name}${Names.ROWS}`))
    yield* Restore.setBeginning(Context.get(context, tag), beginning)
    return { context: context as Context.Context<never>, variable, url }
  })

/** A new name, and the lock that says that the database of that name is in use. */
const held = <Self>(
  { run }: Session,
  tag: DatabaseTag<Self, string>,
  id: string
): Effect.Effect<string, DatabaseError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const [clock] = yield* run<{ readonly now: number }>("SELECT UNIX_TIMESTAMP() AS now")
      const name = Names.make(tag.databaseName, id, Number(clock?.now), randomBytes(6).toString("hex"))
      const [row] = yield* run<{ readonly locked: number | null }>("SELECT GET_LOCK(?, 0) AS locked", [name])
      return row?.locked === 1
        ? name
        : yield* makeError(tag.databaseName, "Unknown", "the server has not given the lock of a new database")
    }),
    (name) => Effect.ignore(run("DO RELEASE_LOCK(?)", [name]))
  )

const created = ({ run }: Session, name: string): Effect.Effect<string, DatabaseError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.as(run(`CREATE DATABASE ${quoted(name)} CHARACTER SET utf8mb4`), name),
    () =>
      Effect.catchAll(
        run(`DROP DATABASE IF EXISTS ${quoted(name)}`),
        ({ message }) => Effect.logWarning(`The database ${name} stays until a later run drops it: ${message}`)
      )
  )

const withUrls = (
  previous: ConfigProvider.ConfigProvider,
  databases: ReadonlyArray<Pick<Made, "variable" | "url">>
): ConfigProvider.ConfigProvider =>
  ConfigProvider.fromMap(
    new Map(databases.map(({ url, variable }) => [variable, Redacted.value(url)])),
    { pathDelim: "_", seqDelim: "," }
  ).pipe(ConfigProvider.orElse(() => previous))

/** Two tags of one prefix would read each other's settings. */
const distinct = (
  tags: ReadonlyArray<Pick<TestDatabase<unknown>, "databaseName" | "prefix">>
): Effect.Effect<void, ConfigurationError> => {
  const twice = tags.filter(({ prefix }, index) => tags.findIndex((tag) => tag.prefix === prefix) !== index)
  return twice.length === 0 ? Effect.void : Effect.fail(
    new ConfigurationError({
      service: "Testing",
      reason: "InvalidSettings",
      problems: twice.map(({ databaseName, prefix }) => ({
        setting: `${prefix}_URL`,
        detail: `belongs to two databases of the test, one of them ${databaseName}`,
        hint: "name each database once, with its tables and seeds together"
      }))
    })
  )
}
