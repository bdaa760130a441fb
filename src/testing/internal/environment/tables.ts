/** Fills an empty database with tables. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { readdir, readFile, stat } from "node:fs/promises"
import { join, sep } from "node:path"
import { fileURLToPath } from "node:url"
import type { DatabaseTag } from "../../../db/Database.ts"
import { ConfigurationError, type DatabaseError } from "../../../Errors.ts"
import * as Settings from "../../../internal/settings.ts"
import type { Migrations, TablesError, TableSource } from "./model.ts"
import * as Names from "./names.ts"
import * as Script from "./script.ts"
import { open, quoted, type Session } from "./session.ts"
import * as Structure from "./structure.ts"
import * as Template from "./template.ts"

/** Where the tables go. */
export interface Target<Self> {
  readonly session: Session
  readonly tag: DatabaseTag<Self, string>
  readonly database: string
  /** The URL of a database of the same server. */
  readonly url: (database: string) => Redacted.Redacted
}

/** The sources one after another. */
export const fill = <Self, R>(
  target: Target<Self>,
  sources: ReadonlyArray<TableSource<R>>
): Effect.Effect<void, TablesError, R> =>
  Effect.forEach(sources, (source: TableSource<R> | undefined, index) => {
    switch (source?._tag) {
      case "Migrations":
        // What is there already is no part of the template.
        return index === 0 && source.files.length > 0
          ? fromTemplate(target, source)
          : migrate(target, target.database, source)
      case "SqlFile":
        return runFile(target, pathOf(source.file))
      case "CopyOf":
        return copyOf(target, source.database)
      default:
        // Written without types.
        return notASource(target.tag.databaseName, index)
    }
  }, { discard: true })

const notASource = (service: string, index: number): Effect.Effect<never, ConfigurationError> =>
  Effect.fail(
    new ConfigurationError({
      service,
      reason: "InvalidSettings",
      problems: [{
        setting: `tables[${index}]`,
        detail: "is not where tables can come from",
        hint: "make it with Testing.migrations, Testing.sqlFile or Testing.copyOf"
      }]
    })
  )

const migrate = <Self, R>(
  { tag, url }: Target<Self>,
  database: string,
  { loader }: Migrations<R>
): Effect.Effect<void, TablesError, R> =>
  Effect.scoped(Effect.gen(function*() {
    const one = tag.layerConfig({ url: Config.succeed(url(database)), poolSize: Config.succeed(1) })
    const context = yield* Layer.build(one)
    yield* Effect.provide(tag.migrate(loader), context)
  }))

/** The same migrations under another version of the server, or from other files, are another template. */
const fromTemplate = <Self, R>(
  target: Target<Self>,
  source: Migrations<R>
): Effect.Effect<void, TablesError, R> =>
  Effect.gen(function*() {
    const { database, session, tag } = target
    const migrations = Effect.map(source.loader, (all) => all.map(([id, name]) => [id, name]))
    const contents = Effect.forEach(source.files, (file) => contentsOf(tag.databaseName, pathOf(file)))
    const server = session.run("SELECT VERSION() AS version, @@collation_server AS collation, @@sql_mode AS mode")
    const template = Names.template(yield* Effect.all([Effect.succeed(FORMAT), migrations, contents, server]))
    yield* Template.ensure(session, tag.databaseName, template, migrate(target, template, source))
    const structure = yield* Structure.read(session, template)
    const tables = structure.tables.filter(({ name }) => name !== Template.COMPLETE)
    yield* withForeignKeysOff(
      target,
      Effect.gen(function*() {
        yield* Structure.setCollation(session, database, structure)
        yield* Structure.createTables(session, { ...structure, tables }, "as there")
        const filled = yield* Structure.withRows(session, template, tables)
        yield* Effect.forEach(filled, (table) => Structure.copyRows(session, table, template, database), {
          discard: true
        })
        yield* Structure.createViews(session, structure)
      })
    )
  })

/** Goes up when a template is made or read in another way. */
const FORMAT = 1

const copyOf = <Self>(
  target: Target<Self>,
  from: string | Config.Config<Redacted.Redacted>
): Effect.Effect<void, TablesError> =>
  Effect.scoped(Effect.gen(function*() {
    const { database, session, tag } = target
    const structure = typeof from === "string"
      ? yield* Structure.read(session, from)
      : yield* Effect.flatMap(
        Settings.load("Testing", from),
        (url) => elsewhere(tag, url)
      )
    yield* withForeignKeysOff(
      target,
      Effect.all([
        Structure.setCollation(session, database, structure),
        Structure.createTables(session, structure, "anew"),
        Structure.createViews(session, structure)
      ], { discard: true })
    )
  }))

/** The structure of the database of a URL, on whatever server. Nothing is written there. */
const elsewhere = <Self>(tag: DatabaseTag<Self, string>, url: Redacted.Redacted) =>
  Effect.gen(function*() {
    const session = yield* open(`${tag.databaseName} (the original)`, tag.prefix, url)
    yield* session.run("SET SESSION TRANSACTION READ ONLY")
    const [row] = yield* session.run<{ readonly name: string }>("SELECT DATABASE() AS name")
    return yield* Structure.read(session, row?.name ?? "")
  })

/** In that database, whatever the order of its tables. */
const withForeignKeysOff = <Self, A, E, R>(
  { database, session: { run } }: Target<Self>,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, DatabaseError | E, R> =>
  Effect.acquireUseRelease(
    Effect.zipRight(
      run(`USE ${quoted(database)}`),
      run(`SET SESSION foreign_key_checks = 0, sql_mode = ${Structure.AS_STORED}`)
    ),
    () => effect,
    () => Effect.ignore(run("SET SESSION foreign_key_checks = 1, sql_mode = DEFAULT"))
  )

/** On a connection of its own, because a file may set what it likes in its session. */
const runFile = <Self>({ database, tag, url }: Target<Self>, file: string): Effect.Effect<void, TablesError> =>
  Effect.scoped(Effect.gen(function*() {
    const bytes = yield* reading(tag.databaseName, file, () => readFile(file))
    // Anything else would become other texts without a word.
    const sql = yield* Effect.try({
      try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
      catch: (cause) =>
        new ConfigurationError({
          service: tag.databaseName,
          reason: "InvalidSettings",
          problems: [{
            setting: file,
            detail: "is not UTF-8",
            hint: "save it as UTF-8; if it is a dump with binary values, make it with --hex-blob"
          }],
          cause
        })
    })
    const refused = (offset: number, detail: string, hint?: string, cause?: DatabaseError): ConfigurationError =>
      new ConfigurationError({
        service: tag.databaseName,
        reason: "InvalidSettings",
        problems: [{
          setting: `${file}, line ${Script.lineOf(sql, offset)}`,
          detail,
          ...(hint === undefined ? {} : { hint })
        }],
        ...(cause === undefined ? {} : { cause })
      })
    const statements = Script.split(sql)
    if (Either.isLeft(statements)) {
      const { detail, hint, offset } = statements.left
      return yield* refused(offset, detail, hint)
    }
    const { inTransaction, run } = yield* open(tag.databaseName, tag.prefix, url(database))
    // A dump has its tables in any order, and says so itself.
    yield* run("SET SESSION foreign_key_checks = 0")
    yield* Effect.forEach(
      statements.right,
      ({ offset, text }) =>
        Effect.mapError(
          run(text),
          (error) => isOfStatement(error) ? refused(offset, error.detail ?? error.reason, error.hint, error) : error
        ),
      {
        discard: true
      }
    )
    if (yield* inTransaction) {
      return yield* refused(
        statements.right.at(-1)?.offset ?? 0,
        "the file ends in a transaction, whose rows would be lost",
        "end it with COMMIT"
      )
    }
  }))

/** Whether it is the statement that is wrong: the server has answered, or it was not sent. */
const isOfStatement = ({ errno, reason }: DatabaseError): boolean =>
  errno !== undefined || reason === "ImplicitCommit" || reason === "PacketTooLarge"

const pathOf = (file: string | URL): string =>
  typeof file === "string" ? file : file.protocol === "file:" ? fileURLToPath(file) : file.href

/** What a file, or every file of a folder, has in it. */
const contentsOf = (
  service: string,
  path: string
): Effect.Effect<ReadonlyArray<readonly [name: string, content: string]>, ConfigurationError> =>
  reading(service, path, async () => {
    if (!(await stat(path)).isDirectory()) return [["", await readFile(path, "base64")]] as const
    const names = (await readdir(path, { recursive: true })).sort()
    const files = await Promise.all(names.map(async (name) => (await stat(join(path, name))).isFile()))
    return Promise.all(
      names.filter((_, index) => files[index])
        .map(async (name) => [name.split(sep).join("/"), await readFile(join(path, name), "base64")] as const)
    )
  })

const reading = <A>(service: string, file: string, read: () => Promise<A>): Effect.Effect<A, ConfigurationError> =>
  Effect.tryPromise({
    try: read,
    catch: (cause) =>
      new ConfigurationError({
        service,
        reason: "InvalidSettings",
        problems: [{
          setting: file,
          detail: "cannot be read",
          hint: "check the path; it begins in the working folder"
        }],
        cause
      })
  })
