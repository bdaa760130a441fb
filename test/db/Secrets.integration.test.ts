import * as Model from "@effect/sql/Model"
import type { SqlClient } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"
import { MainDb } from "../../src/db/Database.ts"
import * as Repository from "../../src/db/Repository.ts"
import { DatabaseError } from "../../src/Errors.ts"
import { main } from "../support/db/databases.ts"
import { freshDatabase, server } from "../support/db/testServer.ts"
import { protocols } from "../support/db/throughProxy.ts"
import { realClock } from "../support/realClock.ts"

/** All the ways in which people and tools look at a value. */
const renderings = (value: unknown): ReadonlyArray<string> => [
  String(value),
  inspect(value, {
    depth: Infinity,
    showHidden: true,
    getters: true,
    maxStringLength: Infinity,
    maxArrayLength: Infinity
  }),
  inspect(value, { depth: Infinity }),
  inspect(value, { depth: Infinity, customInspect: false }),
  JSON.stringify(value, (_, each: unknown) => typeof each === "bigint" ? `${each}` : each) ?? "",
  ...(value instanceof Error ? [value.message, value.stack ?? "", String(value.cause)] : [])
]

interface Seen {
  readonly logs: Array<string>
  readonly spans: Array<unknown>
}

/** Records everything that a logger and a tracer get: attributes, events, exits and causes. */
const recording = () => {
  const seen: Seen = { logs: [], spans: [] }
  const formats = [
    Logger.logfmtLogger,
    Logger.jsonLogger,
    Logger.structuredLogger,
    Logger.prettyLogger({ colors: false })
  ]
  const logger = Logger.make<unknown, void>((options) => {
    for (const format of formats.slice(0, 3)) seen.logs.push(...renderings(format.log(options as never)))
    seen.logs.push(Cause.pretty(options.cause, { renderErrorCause: true }), ...renderings(options.message))
  })
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      const attributes = new Map<string, unknown>()
      const events: Array<unknown> = []
      const span = { name, attributes, events, links, exit: undefined as unknown }
      seen.spans.push(span)
      return {
        _tag: "Span",
        name,
        parent,
        context,
        links,
        kind,
        attributes,
        spanId: "span",
        traceId: "trace",
        sampled: true,
        status: { _tag: "Started", startTime },
        attribute: (key, value) => void attributes.set(key, value),
        event: (...event) => void events.push(event),
        addLinks: () => {},
        // The value of a success is the caller's data, and no exporter looks at it.
        end: (_, exit) => {
          if (Exit.isFailure(exit)) span.exit = exit
        }
      }
    },
    context: (run) => run()
  })
  const layers = Layer.mergeAll(
    Logger.replace(Logger.defaultLogger, logger),
    Logger.minimumLogLevel(LogLevel.All),
    Layer.setTracer(tracer)
  )
  return { seen, layers }
}

const spansOf = (seen: Seen): ReadonlyArray<string> =>
  seen.spans.flatMap((span) => {
    const { exit } = span as { exit: Exit.Exit<unknown, unknown> | undefined }
    return [
      ...renderings(span),
      ...(exit !== undefined && Exit.isFailure(exit)
        ? [Cause.pretty(exit.cause, { renderErrorCause: true }), ...[...Cause.failures(exit.cause)].flatMap(renderings)]
        : [])
    ]
  })

const shows = (texts: ReadonlyArray<string>, secret: string): ReadonlyArray<string> =>
  texts.filter((text) => text.toLowerCase().includes(secret.toLowerCase())).map((text) => text.slice(0, 400))

/** Statements that fail because of a parameter, with the reason that is expected. */
const failing: Readonly<Record<string, (sql: SqlClient, marker: string) => Effect.Effect<unknown, SqlError>>> = {
  UniqueViolation: (sql, m) => {
    const insert = sql`INSERT INTO secrets (id, name) VALUES (${m}, 'x')`
    return Effect.zipRight(insert, insert)
  },
  "InvalidData: too long": (sql, m) => sql`INSERT INTO secrets (id, name) VALUES ('a', ${m.repeat(15)})`,
  "InvalidData: no number": (sql, m) => sql`INSERT INTO secrets (id, number) VALUES ('b', ${m})`,
  "InvalidData: no date": (sql, m) => sql`INSERT INTO secrets (id, day) VALUES ('c', ${m})`,
  "InvalidData: no enum": (sql, m) => sql`INSERT INTO secrets (id, kind) VALUES ('d', ${m})`,
  "InvalidData: division by what is no number": (sql, m) =>
    sql`INSERT INTO secrets (id, number) VALUES ('e', 1 / ${m})`,
  "InvalidData: no JSON path": (sql, m) => sql`INSERT INTO secrets (id, number) SELECT 'f', CAST(${m} AS SIGNED)`,
  "InvalidData: regular expression": (sql, m) => sql`SELECT 'x' REGEXP ${`(${m}`}`,
  NotNullViolation: (sql, m) => sql`INSERT INTO secrets (id, name) VALUES (${m}, ${null})`,
  ForeignKeyViolation: (sql, m) => sql`INSERT INTO secrets (id, parent) VALUES ('g', ${m})`,
  CheckViolation: (sql, m) => sql`INSERT INTO secrets (id, checked) VALUES ('h', ${m})`,
  "Syntax: near a parameter": (sql, m) => sql`SELECT ${m} ${m} FROM FROM ${m} WHERE ${m}`,
  UnknownObject: (sql, m) => sql`SELECT * FROM nowhere WHERE name = ${m}`,
  "Unknown: SIGNAL of a trigger": (sql, m) => sql`INSERT INTO triggered (name) VALUES (${m})`,
  "InvalidParameter: undefined": (sql, m) => sql`SELECT ${m}, ${undefined as never}`,
  "InvalidParameter: a function": (sql, m) => sql`SELECT ${m}, ${(() => m) as never}`,
  "InvalidData: a row that is a JSON": (sql, m) => sql`INSERT INTO secrets (id, day) VALUES ('i', ${{ m } as never})`,
  "UnknownObject: a function": (sql, m) => sql`SELECT no_such_function(${m})`
}

const setUp = MainDb.use((sql) =>
  Effect.gen(function*() {
    yield* sql`CREATE TABLE IF NOT EXISTS parents (id VARCHAR(120) PRIMARY KEY)`
    yield* sql`CREATE TABLE IF NOT EXISTS secrets (
      id VARCHAR(120) PRIMARY KEY, name VARCHAR(60) NOT NULL DEFAULT '', number INT, day DATE, kind ENUM('a', 'b'),
      parent VARCHAR(120), checked VARCHAR(120),
      CONSTRAINT secret_parent FOREIGN KEY (parent) REFERENCES parents (id),
      CONSTRAINT secret_check CHECK (checked = 'good'))`
    yield* sql`CREATE TABLE IF NOT EXISTS triggered (name VARCHAR(120))`
    yield* sql`DROP TRIGGER IF EXISTS refuse`.unprepared
    yield* sql.unsafe(`CREATE TRIGGER refuse BEFORE INSERT ON triggered FOR EACH ROW BEGIN
      DECLARE text VARCHAR(200) DEFAULT CONCAT('refused: ', NEW.name);
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = text; END`).unprepared
    yield* sql`DELETE FROM secrets`
  })
)

const SECRET = "Mrk7x9Q"

for (const preparedStatements of protocols) {
  describe(`parameters, ${preparedStatements ? "prepared" : "as text"}`, () => {
    layer(main({ preparedStatements }), realClock)((it) => {
      for (const [name, statement] of Object.entries(failing)) {
        it.effect(`are in no rendering: ${name}`, () =>
          Effect.gen(function*() {
            yield* setUp
            const { layers, seen } = recording()
            const run = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
              effect.pipe(
                Effect.tapErrorCause((cause) => Effect.logError("failed", cause)),
                Effect.withSpan("test"),
                Effect.exit,
                Effect.provide(layers)
              )
            const attempts: ReadonlyArray<Exit.Exit<unknown, unknown>> = [
              yield* run(MainDb.use((sql) => statement(sql, SECRET))),
              yield* run(MainDb.withTransaction(MainDb.use((sql) => statement(sql, SECRET)))),
              yield* run(Effect.flatMap(MainDb, (sql) => statement(sql, SECRET))),
              yield* run(
                Effect.flatMap(MainDb, (sql) => sql.withTransaction(sql.withTransaction(statement(sql, SECRET))))
              )
            ]
            for (const exit of attempts) {
              const failures = Exit.isFailure(exit) ? [...Cause.failures(exit.cause)] : []
              expect(failures).toHaveLength(1)
              const error = failures[0] instanceof SqlError ? failures[0].cause : failures[0]
              expect(error).toBeInstanceOf(DatabaseError)
              expect((error as DatabaseError).reason).toBe(name.split(":")[0])
              const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
              const texts = [
                ...renderings(exit),
                ...renderings(failures[0]),
                Cause.pretty(cause),
                Cause.pretty(cause, { renderErrorCause: true }),
                ...seen.logs,
                ...spansOf(seen)
              ]
              expect(shows(texts, SECRET)).toEqual([])
              expect(seen.logs.length).toBeGreaterThan(0)
              expect(seen.spans.length).toBeGreaterThan(1)
            }
          }))
      }

      it.effect("are in no rendering of streams, repositories and data loaders", () =>
        Effect.gen(function*() {
          yield* setUp
          class Entry extends Model.Class<Entry>("Entry")({
            id: Model.GeneratedByApp(Schema.String),
            name: Schema.String.pipe(Schema.maxLength(30))
          }) {}
          const { layers, seen } = recording()
          const work = Effect.gen(function*() {
            const entries = yield* Repository.make(MainDb, Entry, {
              tableName: "secrets",
              idColumn: "id",
              spanPrefix: "Entries"
            })
            const entry = Entry.insert.make({ id: `${SECRET}1`, name: SECRET })
            yield* entries.insert(entry)
            const exits: ReadonlyArray<Exit.Exit<unknown, unknown>> = [
              yield* Effect.exit(entries.insert(entry)),
              yield* Effect.exit(entries.insert({ id: "x", name: SECRET.repeat(9) } as never)),
              yield* Effect.exit(entries.update({ id: SECRET, name: SECRET.repeat(9) } as never)),
              yield* Effect.exit(entries.findById({ SECRET } as never)),
              yield* Effect.exit(MainDb.use((sql) =>
                Stream.runDrain(sql`INSERT INTO secrets (id, name) VALUES (${`${SECRET}1`}, '')`.stream)
              ))
            ]
            yield* entries.findById(`${SECRET}1`)
            yield* entries.update(Entry.update.make({ id: `${SECRET}1`, name: `${SECRET}2` }))
            yield* entries.delete(`${SECRET}1`)
            return exits
          }).pipe(Effect.withSpan("test"), Effect.provide(layers))
          const exits = yield* work
          expect(exits.map((exit) =>
            Exit.isFailure(exit)
          )).toEqual([true, true, true, true, true])
          const texts = [...exits.flatMap(renderings), ...seen.logs, ...spansOf(seen)]
          expect(shows(texts, SECRET)).toEqual([])
          expect(seen.spans.length).toBeGreaterThan(8)
        }))
    })
  })
}

describe("the password", () => {
  it.scoped("is in no rendering of services, layers, tags, settings and failures to connect", () =>
    Effect.gen(function*() {
      const password = "Pw9-hunter+secret/4"
      const url = yield* freshDatabase("secrets")
      const { host, password: good, port, user } = yield* server
      const encoded = encodeURIComponent(password)
      const { layers, seen } = recording()
      const texts: Array<string> = []
      const attempts = [
        `mysql://${user}:${encoded}@${host}:${port}/x`,
        `mysql://${user}:${encoded}@${host}:1/x`,
        `mysql://${user}:${encoded}@/x?nonsense=1`,
        `mysql://${user}:${password}@${host}:port/x`,
        `nonsense://${user}:${password}@${host}/x`,
        `${user}:${password}`
      ]
      for (const each of attempts) {
        const config = { url: Redacted.make(each), poolTimeout: "500 millis", connectTimeout: "300 millis" } as const
        const ways = [
          MainDb.layerConfig(Config.succeed(config)),
          MainDb.layer.pipe(Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(
            new Map([
              ["MAIN_DB_URL", each],
              ["MAIN_DB_POOL_TIMEOUT", "0.5"],
              ["MAIN_DB_CONNECT_TIMEOUT", "0.3"],
              ["MAIN_DB_POOL_SIZE", "many"]
            ])
          ))))
        ]
        for (const way of ways) {
          texts.push(...renderings(way))
          const exit = yield* Effect.exit(Effect.scoped(Layer.build(way))).pipe(
            Effect.tap((exit) => Effect.logError("failed", exit)),
            Effect.withSpan("test"),
            Effect.provide(layers)
          )
          expect(Exit.isFailure(exit)).toBe(true)
          if (Exit.isFailure(exit)) {
            texts.push(...renderings(exit), Cause.pretty(exit.cause, { renderErrorCause: true }))
            for (const failure of Cause.failures(exit.cause)) texts.push(...renderings(failure))
          }
        }
      }
      const working = MainDb.layerConfig(Config.succeed({ url: Redacted.make(url) }))
      const services = yield* Layer.build(working)
      const sql = yield* Effect.provide(MainDb, services)
      const statement = sql`SELECT 1`
      yield* statement
      texts.push(
        ...[
          working,
          services,
          sql,
          statement,
          MainDb,
          sql.withTransaction(statement),
          Effect.runSync(Effect.provide(MainDb.stats, services))
        ]
          .flatMap(renderings),
        ...seen.logs,
        ...spansOf(seen)
      )
      expect(texts.length).toBeGreaterThan(50)
      for (const secret of [password, encoded, "hunter", good, encodeURIComponent(good)]) {
        expect(shows(texts, secret), secret).toEqual([])
      }
    }))
})
