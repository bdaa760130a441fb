/** What the handlers of Fastify and of Hono have in common: a session for each request, its errors, and the end of it all. */
import { DatabaseError, MainDb } from "@betterai/infrastructure"
import { Cause, Data, Effect, Option } from "effect"
import type { ManagedRuntime } from "effect"
import { setTimeout as sleep } from "node:timers/promises"

export interface Reply {
  readonly status: 200 | 201 | 409 | 422 | 500 | 503
  readonly body: object
}

class RolledBack extends Data.TaggedError("RolledBack")<{ readonly reply: Reply }> {}

/**
 * A transaction around the handler, which begins with its first statement. It is committed before the reply is given, and
 * rolled back if the handler fails, dies, is interrupted, or replies with 400 or above.
 */
export const session = <E, R>(handler: Effect.Effect<Reply, E, R>): Effect.Effect<Reply, never, R | MainDb> =>
  Effect.filterOrFail(handler, ({ status }) => status < 400, (reply) => new RolledBack({ reply })).pipe(
    MainDb.withTransaction(),
    Effect.catchAllCause((cause) => {
      const error = Option.getOrUndefined(Cause.failureOption(cause))
      if (error instanceof RolledBack) return Effect.succeed(error.reply)
      return Effect.as(Effect.logError("A request failed", cause), failed(error))
    })
  )

/** What a client may know of it: nothing but whether to try again. */
const failed = (error: unknown): Reply => {
  if (!(error instanceof DatabaseError)) return { status: 500, body: { error: "internal error" } }
  if (error.outcome === "unknown") {
    return { status: 500, body: { error: "it may have been done: look before trying again" } }
  }
  return error.retryable
    ? { status: 503, body: { error: "try again" } }
    : { status: 500, body: { error: "internal error" } }
}

/** How many people there may be. */
export const CAPACITY = 100

/** A route: it writes, and may find out later that it should not have. */
export const addPerson = (name: unknown): Effect.Effect<Reply, DatabaseError, MainDb> =>
  Effect.gen(function*() {
    if (typeof name !== "string" || name === "") return { status: 422, body: { error: "name: must be a text" } }
    yield* MainDb.use((sql) => sql`INSERT INTO people ${sql.insert({ name })}`)
    const [row] = yield* MainDb.use((sql) => sql<{ readonly count: number }>`SELECT COUNT(*) AS count FROM people`)
    return row!.count > CAPACITY
      ? { status: 409, body: { error: "no room for more people" } }
      : { status: 201, body: { name } }
  })

/**
 * Stops taking requests and lets those under way end; after 10 seconds their connections are closed, which interrupts
 * them. Then the layers are closed. It takes 20 seconds at most.
 */
export const shutdown = async (
  server: { readonly close: () => Promise<unknown>; readonly cut: () => void },
  runtime: ManagedRuntime.ManagedRuntime<MainDb, unknown>
): Promise<void> => {
  const late = setTimeout(server.cut, 10_000)
  await Promise.race([server.close(), sleep(15_000, undefined, { ref: false })])
  clearTimeout(late)
  await Promise.race([runtime.dispose(), sleep(5_000, undefined, { ref: false })])
}
