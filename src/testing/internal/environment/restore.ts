/**
 * Brings a database back to what it was when its tests began, for tests that commit. It looks at the tables themselves
 * rather than at statements, so what triggers and cascades have written counts too: one that was empty must be empty, one
 * that had rows must have the same checksum.
 */
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { makeError } from "../../../db/internal/errors/classify.ts"
import type { ConfigurationError, DatabaseError } from "../../../Errors.ts"
import { LOCKED } from "../deadlines.ts"
import { quoted, type Session } from "./session.ts"
import * as Structure from "./structure.ts"

/** A database as its tests found it. */
export interface Beginning {
  /** Gives the names of the tables that it has restored. */
  readonly restore: Effect.Effect<ReadonlyArray<string>, DatabaseError>
}

/** A row of a table of names and numbers; what is beyond 2^53 is a text. */
interface Named {
  readonly name: string
  readonly value: number | string | null
}

const beginnings = new WeakMap<SqlClient, Beginning>()

/** The beginning of the database behind that client; undefined if no layer of tests has made it. */
export const beginningOf = (client: SqlClient): Beginning | undefined => beginnings.get(client)

export const setBeginning = (client: SqlClient, beginning: Beginning): Effect.Effect<void> =>
  Effect.sync(() => void beginnings.set(client, beginning))

/** Notes what a database holds; its rows are copied to another one, which is made with `makeCopy` if there are any. */
export const note = <E>(
  session: Session,
  owner: string,
  database: string,
  makeCopy: Effect.Effect<string, E, Scope.Scope>
): Effect.Effect<Beginning, ConfigurationError | DatabaseError | E, Scope.Scope> =>
  Effect.gen(function*() {
    const { run } = session
    const tables = yield* Structure.tablesOf(session, database)
    const allTriggers = yield* Structure.triggersOf(session, database)
    const filled = yield* Structure.withRows(session, database, tables)
    const empty = tables.filter((table) => !filled.includes(table))
    const copy = filled.length === 0 ? "" : yield* makeCopy
    yield* Effect.acquireUseRelease(
      run(`SET SESSION sql_mode = ${Structure.AS_STORED}`),
      () =>
        Effect.forEach(filled, (table) =>
          Effect.zipRight(
            run(`CREATE TABLE ${quoted(copy)}.${quoted(table.name)} LIKE ${quoted(database)}.${quoted(table.name)}`),
            Structure.copyRows(session, table, database, copy)
          ), { discard: true }),
      () => Effect.ignore(run("SET SESSION sql_mode = DEFAULT"))
    )
    const sums = yield* checksums(session, database, filled)
    const counters = yield* countersOf(session, database)
    const semaphore = yield* Effect.makeSemaphore(1)
    // Triggers that are dropped and not made again yet, also by a restore that has failed.
    const away = new Set<Structure.Trigger>()

    const restore = Effect.gen(function*() {
      const now = yield* namesOf(session, database)
      const missing = tables.find(({ name }) => !now.includes(name))
      if (missing !== undefined) {
        return yield* makeError(owner, "UnknownObject", `the table ${missing.name} is not there any more`, {
          hint: "a test that drops or renames tables needs a database of its own"
        })
      }
      const known = new Set(tables.map(({ name }) => name))
      const added = now.filter((name) => !known.has(name))
      yield* Effect.forEach(added, (name) => run(`DROP TABLE ${quoted(database)}.${quoted(name)}`), { discard: true })
      const sumsNow = yield* checksums(session, database, filled)
      const dirty = [
        ...yield* Structure.withRows(session, database, empty),
        ...filled.filter(({ name }) => sumsNow.get(name) !== sums.get(name))
      ]
      const emptied = new Set(empty)
      // They would meet the rows that are only put back.
      const inTheWay = allTriggers.filter(({ table }) => dirty.some(({ name }) => name === table))
      const refill = Effect.zipRight(
        Effect.forEach(dirty, ({ name }) => run(`DELETE FROM ${quoted(database)}.${quoted(name)}`), { discard: true }),
        Effect.forEach(
          dirty.filter((table) => !emptied.has(table)),
          (table) => Structure.copyRows(session, table, copy, database),
          { discard: true }
        )
      )
      yield* Effect.uninterruptibleMask((interruptible) =>
        Effect.gen(function*() {
          const drops = Effect.forEach(
            inTheWay,
            (trigger) => Effect.map(run(`DROP TRIGGER IF EXISTS ${quoted(trigger.name)}`), () => away.add(trigger)),
            { discard: true }
          )
          const exit = yield* Effect.exit(Effect.zipRight(drops, interruptible(refill)))
          yield* Effect.forEach(
            allTriggers.filter((trigger) => away.has(trigger)),
            (trigger) => Effect.map(Structure.createUnder(session, trigger), () => away.delete(trigger)),
            { discard: true }
          )
          yield* exit
        })
      )
      const countersNow = yield* countersOf(session, database)
      const moved = tables.filter(({ name }) => countersNow.get(name) !== counters.get(name))
      yield* Effect.forEach(
        moved,
        ({ name }) =>
          run(`ALTER TABLE ${quoted(database)}.${quoted(name)} AUTO_INCREMENT = ${counters.get(name) ?? 1}`),
        {
          discard: true
        }
      )
      return [...new Set([...dirty, ...moved].map(({ name }) => name)), ...added].sort()
    })

    return {
      restore: semaphore.withPermits(1)(
        Effect.acquireUseRelease(
          Effect.zipRight(
            run(`USE ${quoted(database)}`),
            run(
              `SET SESSION foreign_key_checks = 0, sql_mode = ${Structure.AS_STORED},
              innodb_lock_wait_timeout = ${LOCKED}, lock_wait_timeout = ${LOCKED}`
            )
          ),
          () => restore,
          () =>
            Effect.ignore(run(
              "SET SESSION foreign_key_checks = 1, sql_mode = DEFAULT, innodb_lock_wait_timeout = DEFAULT, lock_wait_timeout = DEFAULT"
            ))
        )
      )
    }
  })

const namesOf = ({ run }: Session, database: string): Effect.Effect<ReadonlyArray<string>, DatabaseError> =>
  Effect.map(
    run<Pick<Named, "name">>(
      "SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?"
        + " AND TABLE_TYPE NOT IN ('VIEW', 'SEQUENCE')",
      [database]
    ),
    (rows) => rows.map(({ name }) => name)
  )

const checksums = (
  { run }: Session,
  database: string,
  tables: ReadonlyArray<Structure.Table>
): Effect.Effect<ReadonlyMap<string, unknown>, DatabaseError> =>
  tables.length === 0 ? Effect.succeed(new Map()) : Effect.map(
    run<{ readonly Checksum: unknown }>(
      `CHECKSUM TABLE ${tables.map(({ name }) => `${quoted(database)}.${quoted(name)}`).join(", ")}`
    ),
    // One row for each, in this order. What has no sum is equal to nothing: nobody knows what it holds.
    (rows) => new Map(tables.map(({ name }, index) => [name, rows[index]?.Checksum ?? Symbol()]))
  )

/** What the next row of each table that counts would get. */
const countersOf = (
  { run }: Session,
  database: string
): Effect.Effect<ReadonlyMap<string, string | number | null>, DatabaseError> =>
  Effect.map(
    run<Named>(
      "SELECT TABLE_NAME AS name, CAST(AUTO_INCREMENT AS CHAR) AS value FROM information_schema.TABLES"
        + " WHERE TABLE_SCHEMA = ? AND AUTO_INCREMENT IS NOT NULL",
      [database]
    ),
    (rows) => new Map(rows.map(({ name, value }) => [name, value]))
  )
