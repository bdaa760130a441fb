/** The faults of the server and the network that arrive during the soak. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { FaultProxy } from "../test/support/db/faultProxy.ts"
import type { Controls } from "../test/support/db/privateServer.ts"

export interface Fault {
  readonly name: string
  readonly run: Effect.Effect<unknown>
}

export const faults = (
  server: Controls,
  proxy: FaultProxy,
  admin: (sql: string) => Effect.Effect<ReadonlyArray<Readonly<Record<string, unknown>>>>
): ReadonlyArray<Fault> => {
  const kill = (kind: "CONNECTION" | "QUERY") =>
    Effect.gen(function*() {
      const threads = yield* admin(
        "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE DB IN ('main', 'garmin')"
      )
      if (threads.length === 0) return
      const { id } = threads[yield* Random.nextIntBetween(0, threads.length)]!
      // The thread may have ended by itself.
      yield* Effect.ignore(Effect.sandbox(admin(`KILL ${kind} ${String(id)}`)))
    })
  const forAWhile = (begin: Effect.Effect<void>, end: Effect.Effect<void>) =>
    Effect.flatMap(
      Random.nextIntBetween(100, 2_000),
      (millis) => Effect.acquireUseRelease(begin, () => Effect.sleep(millis), () => end)
    )
  return [
    { name: "kill a connection", run: kill("CONNECTION") },
    { name: "kill a query", run: kill("QUERY") },
    { name: "reset all connections", run: proxy.reset },
    { name: "close all connections", run: proxy.finish },
    {
      name: "half-open connections",
      run: Effect.zipRight(proxy.halfOpen, Effect.zipRight(Effect.sleep(1_500), proxy.reset))
    },
    { name: "lose a COMMIT's reply", run: proxy.trap("COMMIT", "lose") },
    { name: "lose a COMMIT", run: proxy.trap("COMMIT", "reset") },
    { name: "lose a ROLLBACK", run: proxy.trap("ROLLBACK", "lose") },
    { name: "swallow the reply to a BEGIN", run: proxy.trap("BEGIN", "swallow") },
    { name: "refuse connections", run: forAWhile(Effect.zipRight(proxy.refuse, proxy.reset), proxy.accept) },
    { name: "silent server", run: forAWhile(proxy.welcome("silent"), proxy.welcome("pass")) },
    { name: "slow network", run: forAWhile(proxy.delay(30), proxy.delay(0)) },
    { name: "stop the server", run: forAWhile(server.stop, server.resume) },
    { name: "kill and restart the server", run: Effect.zipRight(server.kill, server.start) }
  ]
}
