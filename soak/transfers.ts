/**
 * `npm run soak -- --minutes N`: money moves between accounts of two databases on many fibers while faults arrive at
 * random. At the end the books must balance: every commit that was reported is there, every one that was reported as
 * failed is not, an unknown outcome was reported as such, and nothing has leaked.
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import { useTestServer } from "../scripts/servers/programs.ts"
import { GarminDb, MainDb } from "../src/db/Database.ts"
import type { DatabaseError } from "../src/Errors.ts"
import { adminOn } from "../test/support/db/admin.ts"
import * as FaultProxy from "../test/support/db/faultProxy.ts"
import { PrivateServer } from "../test/support/db/privateServer.ts"
import { eventually } from "../test/support/eventually.ts"
import { audit, prepare, read, summary } from "./books.ts"
import { faults } from "./faults.ts"
import { Unsound } from "./unsound.ts"
import { type Ledgers, type Name, step } from "./workload.ts"

const FIBERS = 30

const settings = (url: string) => ({
  url: Redacted.make(url),
  poolSize: 6,
  maxOverflow: 4,
  poolTimeout: Duration.seconds(5),
  connectTimeout: Duration.millis(800),
  startup: "lazy" as const
})

const program = (minutes: number) =>
  Effect.gen(function*() {
    const server = yield* PrivateServer
    const admin = adminOn(server.at)
    const [version] = yield* admin("SELECT VERSION() AS version")
    console.log(`on ${server.at.kind} ${version!["version"]}`)
    const proxy = yield* FaultProxy.make(server.at)
    for (const name of ["main", "garmin"] satisfies Array<Name>) {
      yield* prepare(admin, name)
    }
    const url = (name: Name) =>
      proxy.through(`mysql://${server.at.user}:${server.at.password}@${server.at.host}:${server.at.port}/${name}`)
    const databases = Layer.merge(
      MainDb.layerConfig(Config.succeed(settings(url("main")))),
      GarminDb.layerConfig(Config.succeed(settings(url("garmin"))))
    )

    const ledgers: Ledgers = { main: [], garmin: [] }
    const wrong: Array<string> = []
    const seen = new Map<string, number>()
    yield* Effect.gen(function*() {
      const stop = performance.now() + minutes * 60_000
      const workers = yield* Effect.fork(Effect.all(
        Array.from({ length: FIBERS }, () => Effect.repeat(step(ledgers), { while: () => performance.now() < stop })),
        { concurrency: "unbounded", discard: true }
      ))
      const all = faults(server, proxy, admin)
      yield* Effect.repeat(
        Effect.gen(function*() {
          yield* Effect.sleep(yield* Random.nextIntBetween(200, 1_500))
          const fault = all[yield* Random.nextIntBetween(0, all.length)]!
          seen.set(fault.name, (seen.get(fault.name) ?? 0) + 1)
          yield* fault.run
        }),
        { while: () => performance.now() < stop }
      )
      yield* proxy.disarm
      yield* Fiber.join(workers).pipe(
        Effect.timeoutFail({ duration: "60 seconds", onTimeout: () => new Unsound({ findings: ["a fiber hangs"] }) })
      )
      for (const tag of [MainDb, GarminDb]) {
        const stats = yield* tag.stats
        if (stats.active !== 0 || stats.waiting !== 0 || stats.idle + stats.dialling !== stats.size) {
          wrong.push(`${tag.key}: something leaked: ${JSON.stringify(stats)}`)
        }
        // MySQL that was killed last refuses passwords until somebody has logged in with its key, which the administrator
        // may; the pool then waits a while.
        yield* admin("SELECT 1")
        yield* eventually<unknown, DatabaseError, MainDb | GarminDb>(tag.use((sql) => sql`SELECT 1`), "15 seconds")
      }
    }).pipe(Effect.provide(databases))

    const left = yield* Effect.delay(
      admin("SELECT ID AS id FROM information_schema.PROCESSLIST WHERE DB IN ('main', 'garmin')"),
      "2 seconds"
    )
    if (left.length > 0) wrong.push(`${left.length} threads of ours are left on the server`)
    for (const name of ["main", "garmin"] satisfies Array<Name>) {
      const found = yield* read(admin, name)
      wrong.push(...audit(name, ledgers[name], found))
      console.log(summary(name, ledgers[name], found))
    }
    console.log(`faults: ${[...seen].map(([name, count]) => `${name} ${count}`).join(", ")}`)
    if (wrong.length > 0) return yield* new Unsound({ findings: wrong })
    console.log("the books balance, and nothing is left behind")
  })

export const transfers = (minutes: number): Effect.Effect<void, unknown> =>
  Effect.scoped(Effect.zipRight(useTestServer, Effect.provide(program(minutes), PrivateServer.layer)))
