/** Drops what runs that were killed have left on a server. */
import * as Effect from "effect/Effect"
import type { DatabaseError } from "../../../Errors.ts"
import { LEFT_OVER, MOST_DROPPED, TEMPLATE_UNUSED } from "../deadlines.ts"
import * as Names from "./names.ts"
import { quoted, type Session } from "./session.ts"
import * as Template from "./template.ts"

/**
 * Databases of tests that are old and that nobody holds, and templates that nobody has used for a week. What cannot be
 * dropped, or of which anything is not certain, stays.
 */
export const drop = (session: Session): Effect.Effect<void> =>
  Effect.gen(function*() {
    const [clock] = yield* session.run<{ readonly now: number }>("SELECT UNIX_TIMESTAMP() AS now")
    const now = Number(clock?.now)
    const names = yield* session.run<{ readonly name: string }>(
      "SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA WHERE LEFT(SCHEMA_NAME, 14) = 'betterai_test_'"
        + " OR LEFT(SCHEMA_NAME, 18) = 'betterai_template_' ORDER BY 1"
    )
    const old = names.flatMap(({ name }) => {
      const made = Names.read(name)
      if (made !== undefined) return now - made.madeAt > LEFT_OVER ? [{ name, lock: made.lock, isOver: yes }] : []
      return Names.isTemplate(name) ? [{ name, lock: name, isOver: unused(session, name, now) }] : []
    })
    let dropped = 0
    for (const { isOver, lock, name } of old) {
      if (dropped === MOST_DROPPED) break
      yield* Effect.ignoreLogged(Effect.acquireUseRelease(
        session.run<{ readonly locked: number | null }>("SELECT GET_LOCK(?, 0) AS locked", [lock]),
        ([row]) =>
          Effect.gen(function*() {
            if (row?.locked !== 1 || !(yield* isOver)) return
            yield* session.run(`DROP DATABASE IF EXISTS ${quoted(name)}`)
            dropped++
          }),
        ([row]) => row?.locked === 1 ? Effect.ignore(session.run("DO RELEASE_LOCK(?)", [lock])) : Effect.void
      ))
    }
  }).pipe(Effect.ignoreLogged)

const yes = Effect.succeed(true)

/** A template that is not complete and not locked has lost its maker. */
const unused = ({ run }: Session, name: string, now: number): Effect.Effect<boolean, DatabaseError> =>
  Effect.map(
    run<{ readonly usedAt: number }>(`SELECT used_at AS usedAt FROM ${quoted(name)}.${Template.COMPLETE}`),
    ([row]) => row === undefined || now - row.usedAt > TEMPLATE_UNUSED
  ).pipe(Effect.catchIf(({ reason }) => reason === "UnknownObject", () => yes))
