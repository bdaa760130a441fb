/**
 * A database that is filled once and copied by every worker and every run afterwards. Its name comes from what it was
 * filled with, so a change of that is another template; and it counts only once it says of itself that it is complete.
 */
import * as Effect from "effect/Effect"
import { makeError } from "../../../db/internal/errors/classify.ts"
import type { DatabaseError } from "../../../Errors.ts"
import { TEMPLATE } from "../deadlines.ts"
import { quoted, type Session } from "./session.ts"

/** The table that a complete template has, and its copies have not. Its row says when it was used last. */
export const COMPLETE = "betterai_template_complete"

/** Fills the template unless it is there. One process at a time does; the others wait. */
export const ensure = <E, R>(
  session: Session,
  owner: string,
  name: string,
  fill: Effect.Effect<void, E, R>
): Effect.Effect<void, DatabaseError | E, R> =>
  Effect.acquireUseRelease(
    Effect.interruptible(lock(session, owner, name)),
    () =>
      Effect.if(touch(session, name), {
        onTrue: () => Effect.void,
        onFalse: () => Effect.onError(anew(session, name, fill), () => Effect.ignore(drop(session, name)))
      }),
    () => Effect.ignore(session.run("DO RELEASE_LOCK(?)", [name]))
  )

const lock = ({ run }: Session, owner: string, name: string): Effect.Effect<void, DatabaseError> =>
  Effect.flatMap(
    run<{ readonly locked: number | null }>("SELECT GET_LOCK(?, ?) AS locked", [name, TEMPLATE]),
    ([row]) =>
      row?.locked === 1 ? Effect.void : Effect.fail(
        makeError(
          owner,
          "LockWaitTimeout",
          `another worker has been making the tables for more than ${TEMPLATE} s`,
          { retryable: true, hint: "look what its migrations wait for" }
        )
      )
  )

/** Whether it is there and complete. Then it is in use from now on. */
const touch = ({ run }: Session, name: string): Effect.Effect<boolean, DatabaseError> => {
  const table = `${quoted(name)}.${COMPLETE}`
  return Effect.gen(function*() {
    const [row] = yield* run(`SELECT used_at FROM ${table}`)
    if (row === undefined) return false
    yield* run(`UPDATE ${table} SET used_at = UNIX_TIMESTAMP()`)
    return true
  }).pipe(
    Effect.catchIf(
      ({ reason }) => reason === "UnknownObject" || reason === "UnknownDatabase",
      () => Effect.succeed(false)
    )
  )
}

const anew = <E, R>(
  session: Session,
  name: string,
  fill: Effect.Effect<void, E, R>
): Effect.Effect<void, DatabaseError | E, R> =>
  Effect.gen(function*() {
    // What a killed process has left of it.
    yield* drop(session, name)
    yield* session.run(`CREATE DATABASE ${quoted(name)} CHARACTER SET utf8mb4`)
    yield* fill
    yield* session.run(`CREATE TABLE ${quoted(name)}.${COMPLETE} (used_at BIGINT NOT NULL)`)
    yield* session.run(`INSERT INTO ${quoted(name)}.${COMPLETE} VALUES (UNIX_TIMESTAMP())`)
  })

const drop = ({ run }: Session, name: string): Effect.Effect<unknown, DatabaseError> =>
  run(`DROP DATABASE IF EXISTS ${quoted(name)}`)
