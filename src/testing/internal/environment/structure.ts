/**
 * What a database consists of, as the server itself writes it down, and how another database gets the same: tables with
 * their foreign keys, routines, views and triggers. Events are left out: nothing may run in a test by the time of day.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import { ConfigurationError, type DatabaseError } from "../../../Errors.ts"
import { quoted, type Session } from "./session.ts"

export interface Structure {
  /** That of the database: new tables get it, and so do the parameters and variables of routines. */
  readonly collation: string
  readonly tables: ReadonlyArray<Table & Definition>
  readonly routines: ReadonlyArray<Routine>
  readonly views: ReadonlyArray<Definition>
  readonly triggers: ReadonlyArray<Trigger>
}

export interface Definition {
  readonly name: string
  readonly create: string
}

export interface Table {
  readonly name: string
  /** Those that rows are stored with: a generated column is computed again. */
  readonly columns: ReadonlyArray<string>
}

export interface Routine extends Definition {
  /** It is created, and runs, under the sql_mode of its first creation. */
  readonly sqlMode: string
}

export interface Trigger extends Routine {
  readonly table: string
}

interface Kind {
  readonly name: string
  readonly kind: string
}

/** Reads a database of the session's server. Nothing in it may name that database: see {@link naming}. */
export const read = (
  session: Session,
  database: string
): Effect.Effect<Structure, ConfigurationError | DatabaseError> =>
  Effect.gen(function*() {
    const { run } = session
    // Names are written without their database where it is the current one.
    yield* run(`USE ${quoted(database)}`)
    const all = yield* run<Kind>(
      "SELECT TABLE_NAME AS name, TABLE_TYPE AS kind FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1"
    )
    const [current] = yield* run<{ readonly collation: string }>("SELECT @@collation_database AS collation")
    const strange = all.filter(({ kind }) => !["BASE TABLE", "SYSTEM VERSIONED", "VIEW"].includes(kind))
    if (strange.length > 0) {
      return yield* refused(strange.map(({ kind, name }) => ({
        setting: `${database}.${name}`,
        detail: `is a ${kind.toLowerCase()}, which is not copied`,
        hint: "make it in an SQL file or in the seeds"
      })))
    }
    const views = all.filter(({ kind }) => kind === "VIEW")
    const routines = yield* run<Kind & { readonly sqlMode: string }>(
      "SELECT ROUTINE_NAME AS name, ROUTINE_TYPE AS kind, SQL_MODE AS sqlMode FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()"
        + " ORDER BY 2, 1"
    )
    const structure: Structure = {
      collation: current!.collation,
      tables: yield* Effect.forEach(yield* tablesOf(session, database), (table) =>
        Effect.map(show(run, "TABLE", table.name, "Create Table"), (create) => ({ ...table, create }))),
      routines: yield* Effect.forEach(routines, ({ kind, name, sqlMode }) =>
        Effect.map(
          show(run, kind, name, kind === "FUNCTION" ? "Create Function" : "Create Procedure"),
          (create) => ({ name, sqlMode, create: withoutDefiner(create) })
        )),
      views: yield* Effect.forEach(views, ({ name }) =>
        Effect.map(show(run, "VIEW", name, "Create View"), (create) => ({ name, create: withoutDefiner(create) }))),
      triggers: yield* triggersOf(session, database)
    }
    const itself = naming(database)
    const outside = [...structure.tables, ...structure.routines, ...structure.views, ...structure.triggers].filter(
      ({ create }) =>
        itself.test(create)
    )
    return outside.length === 0 ? structure : yield* refused(outside.map(({ name }) => ({
      setting: `${database}.${name}`,
      detail: `names the database ${database} in its text, so a copy of it would work there`,
      hint: "leave the name of the database out of it"
    })))
  })

/** The tables of a database, without their texts. MariaDB lists its sequences too. */
export const tablesOf = ({ run }: Session, database: string): Effect.Effect<ReadonlyArray<Table>, DatabaseError> =>
  Effect.map(
    run<{ readonly table: string; readonly name: string }>(
      "SELECT TABLE_NAME AS `table`, COLUMN_NAME AS name FROM information_schema.TABLES JOIN information_schema.COLUMNS"
        + " USING (TABLE_SCHEMA, TABLE_NAME) WHERE TABLE_SCHEMA = ? AND TABLE_TYPE NOT IN ('VIEW', 'SEQUENCE')"
        + " AND COALESCE(GENERATION_EXPRESSION, '') = '' ORDER BY TABLE_NAME, ORDINAL_POSITION",
      [database]
    ),
    (columns) =>
      Object.entries(Arr.groupBy(columns, ({ table }) => table)).map(([name, columns]) => ({
        name,
        columns: columns.map((column) => column.name)
      }))
  )

/** In the order in which they run. */
export const triggersOf = (
  { run }: Session,
  database: string
): Effect.Effect<ReadonlyArray<Trigger>, ConfigurationError | DatabaseError> =>
  Effect.flatMap(
    run<{ readonly name: string; readonly table: string; readonly sqlMode: string }>(
      "SELECT TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS `table`, SQL_MODE AS sqlMode FROM information_schema.TRIGGERS"
        + " WHERE TRIGGER_SCHEMA = ? ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER",
      [database]
    ),
    Effect.forEach((trigger) =>
      Effect.map(
        show(run, "TRIGGER", trigger.name, "SQL Original Statement", database),
        (create) => ({ ...trigger, create: withoutDefiner(create) })
      )
    )
  )

/** `main.files`, with or without quotes. It may stand in a comment or a text; then nothing is copied either. */
const naming = (database: string): RegExp => {
  const name = database.replace(/[^\p{L}\p{N}_]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)
  const word = String.raw`[\p{L}\p{N}_$\x60"]`
  return new RegExp(String.raw`(?<![\p{L}\p{N}_$.\x60"])(?:${name}|\x60${name}\x60|"${name}")\s*\.\s*${word}`, "iu")
}

const show = (
  run: Session["run"],
  kind: string,
  name: string,
  column: string,
  database?: string
): Effect.Effect<string, ConfigurationError | DatabaseError> => {
  const what = database === undefined ? quoted(name) : `${quoted(database)}.${quoted(name)}`
  return Effect.flatMap(run<Readonly<Record<string, string | null>>>(`SHOW CREATE ${kind} ${what}`), ([row]) => {
    const create = row?.[column]
    return typeof create === "string" ? Effect.succeed(create) : refused([{
      setting: name,
      detail: "cannot be read: the account may not see its text",
      hint: "use the account that has made it"
    }])
  })
}

/** The account that runs the tests defines the copy: the one that has defined the original may not exist here. */
const withoutDefiner = (create: string): string =>
  create.replace(/^(CREATE\s[^(]*?)DEFINER\s*=\s*(?:`[^`]*`|'[^']*'|[^\s@`']+)@(?:`[^`]*`|'[^']*'|[^\s`']+)\s*/i, "$1")

const refused = (problems: ConfigurationError["problems"]): Effect.Effect<never, ConfigurationError> =>
  Effect.fail(new ConfigurationError({ service: "Testing", reason: "InvalidSettings", problems }))

/** Where AUTO_INCREMENT begins: as in a new table, or where it is in the one that is copied. */
export type Counting = "anew" | "as there"

/** Gives a database the collation that the tables and routines come from. */
export const setCollation = (
  { run }: Session,
  database: string,
  { collation }: Structure
): Effect.Effect<unknown, DatabaseError> => run(`ALTER DATABASE ${quoted(database)} COLLATE ${collation}`)

/**
 * Tables and routines, in a database that is current. The session has foreign keys switched off, so that their order does
 * not matter.
 */
export const createTables = (
  { run }: Session,
  { routines, tables }: Structure,
  counting: Counting
): Effect.Effect<void, DatabaseError> =>
  Effect.zipRight(
    Effect.forEach(
      tables,
      ({ create }) => run(counting === "anew" ? create.replace(/^(\)[^'\n]*?) AUTO_INCREMENT=\d+/m, "$1") : create),
      { discard: true }
    ),
    Effect.forEach(routines, (routine) => createUnder({ run }, routine), { discard: true })
  )

/** Views and triggers, once there are tables and rows: a trigger must not meet the rows that are copied. */
export const createViews = ({ run }: Session, { triggers, views }: Structure): Effect.Effect<void, DatabaseError> =>
  Effect.zipRight(
    inAnyOrder(run, views),
    Effect.forEach(triggers, (trigger) => createUnder({ run }, trigger), { discard: true })
  )

/** A trigger or a routine. */
export const createUnder = (
  { run }: Pick<Session, "run">,
  { create, sqlMode }: { readonly create: string; readonly sqlMode: string }
): Effect.Effect<void, DatabaseError> =>
  Effect.gen(function*() {
    yield* run("SET @sql_mode_before = @@sql_mode")
    yield* run("SET SESSION sql_mode = ?", [sqlMode])
    yield* Effect.ensuring(run(create), Effect.ignore(run("SET SESSION sql_mode = @sql_mode_before")))
  })

/** The sql_mode under which a row or a default is taken as it is stored: with a zero date, for example, or the id 0. */
export const AS_STORED = `CONCAT(${
  ["TRADITIONAL", "STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_IN_DATE", "NO_ZERO_DATE"].reduce(
    (mode, strict) => `REPLACE(${mode}, '${strict}', '')`,
    "@@sql_mode"
  )
}, ',NO_AUTO_VALUE_ON_ZERO')`

/** A view may use another one that comes later. */
const inAnyOrder = (
  run: Session["run"],
  views: ReadonlyArray<Definition>
): Effect.Effect<void, DatabaseError> =>
  Effect.flatMap(
    Effect.partition(views, (view) => Effect.mapError(run(view.create), (error) => ({ error, view }))),
    ([failed]) => {
      const [first] = failed
      if (first === undefined) return Effect.void
      return failed.length === views.length
        ? Effect.fail(first.error)
        : inAnyOrder(run, failed.map(({ view }) => view))
    }
  )

/** The rows of a table, from the same table of another database of the server. */
export const copyRows = (
  { run }: Session,
  { columns, name }: Table,
  from: string,
  to: string
): Effect.Effect<void, DatabaseError> => {
  const list = columns.map(quoted).join(", ")
  return Effect.asVoid(
    run(`INSERT INTO ${quoted(to)}.${quoted(name)} (${list}) SELECT ${list} FROM ${quoted(from)}.${quoted(name)}`)
  )
}

/** The tables of these that have rows: one statement for all. */
export const withRows = (
  { run }: Session,
  database: string,
  tables: ReadonlyArray<Table>
): Effect.Effect<ReadonlyArray<Table>, DatabaseError> =>
  tables.length === 0 ? Effect.succeed([]) : Effect.map(
    run<Readonly<Record<string, number>>>(
      `SELECT ${
        tables.map(({ name }, index) => `EXISTS(SELECT 1 FROM ${quoted(database)}.${quoted(name)}) AS t${index}`).join(
          ", "
        )
      }`
    ),
    ([row]) => tables.filter((_, index) => row?.[`t${index}`] !== 0)
  )
