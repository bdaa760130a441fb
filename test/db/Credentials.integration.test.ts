/** User and password from an Effect, which is run for each new connection. */
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import { type Credentials, MainDb } from "../../src/db/Database.ts"
import { ServiceError } from "../../src/Errors.ts"
import { connectionId } from "../support/db/connectionId.ts"
import { databaseError } from "../support/db/errors.ts"
import { nothingRuns } from "../support/db/nothingRuns.ts"
import { layerOf, type Options, type Stage, stageOn } from "../support/db/stage.ts"
import { server } from "../support/db/testServer.ts"
import { eventually } from "../support/eventually.ts"
import { timed } from "../support/timed.ts"

const one = MainDb.use((sql) => sql`SELECT 'one' AS one`)
const userName = MainDb.use((sql) => sql<{ user: string }>`SELECT CURRENT_USER() AS user`).pipe(
  Effect.map(([row]) => row!.user.split("@")[0]!)
)
const sleep = (seconds: number) => MainDb.use((sql) => sql`SELECT SLEEP(${seconds})`)

/** A database, and users without privileges on anything else. `names` are appended to its name. */
const stageFor = (...names: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const stage = yield* stageOn(yield* server)
    const { admin, database } = stage
    for (const name of names) {
      yield* Effect.acquireRelease(
        Effect.zipRight(
          admin(`CREATE USER ${database}${name}@'127.0.0.1' IDENTIFIED BY 'first'`),
          admin(`GRANT ALL ON ${database}.* TO ${database}${name}@'127.0.0.1'`)
        ),
        () => admin(`DROP USER ${database}${name}@'127.0.0.1'`)
      )
    }
    return stage
  })

const changePassword = ({ admin, database }: Stage, password: string) =>
  admin(`ALTER USER ${database}_a@'127.0.0.1' IDENTIFIED BY '${password}'`)

/** The database through the proxy, as its user `_a`. */
const withCredentials = (stage: Stage, credentials: Effect.Effect<Credentials, unknown>, options: Options = {}) => {
  const url = new URL(stage.url)
  url.username = `${stage.database}_a`
  url.password = ""
  return layerOf(url.href, { ...options, credentials })
}

/** Credentials that a test changes. */
const changing = () => {
  const now: { password: string; user?: string } = { password: "first" }
  const credentials = Effect.sync(() => ({ ...now, password: Redacted.make(now.password) }))
  return { now, credentials }
}

const renderings = (error: unknown): ReadonlyArray<string> => [
  String(error),
  JSON.stringify(error),
  inspect(error, { depth: 9 }),
  Cause.pretty(Cause.fail(error))
]

describe("credentials", () => {
  it.scopedLive("are asked for by each dial, by concurrent ones at once", () =>
    Effect.gen(function*() {
      const stage = yield* stageFor("_a")
      let asked = 0
      let now = 0
      let most = 0
      const credentials = Effect.acquireUseRelease(
        Effect.sync(() => {
          asked++
          most = Math.max(most, ++now)
        }),
        () => Effect.delay(Effect.succeed({ password: Redacted.make("first") }), "50 millis"),
        () => Effect.sync(() => now--)
      )
      yield* Effect.gen(function*() {
        expect(asked).toBe(0)
        yield* Effect.all(Effect.replicate(sleep(0.2), 4), { concurrency: 4 })
        const { opened } = yield* MainDb.stats
        expect(opened).toBeGreaterThan(1)
        expect(asked).toBe(opened)
        expect(most).toBeGreaterThan(1)
        expect(yield* userName).toBe(`${stage.database}_a`)
      }).pipe(Effect.provide(withCredentials(stage, credentials)))
    }))

  it.scopedLive("that change: open connections stay, new ones and KILL use the new password", () =>
    Effect.gen(function*() {
      const stage = yield* stageFor("_a")
      const { credentials, now } = changing()
      yield* Effect.gen(function*() {
        const id = yield* connectionId
        yield* changePassword(stage, "second")
        now.password = "second"
        expect(yield* connectionId).toBe(id)
        const [, took] = yield* timed(Effect.exit(Effect.timeout(sleep(5), "200 millis")))
        expect(took).toBeLessThan(1_150)
        yield* nothingRuns(stage.threads, "SLEEP")
        expect(yield* connectionId).toBe(id)
        yield* Effect.all([sleep(0.1), sleep(0.1)], { concurrency: 2 })
        expect(yield* MainDb.stats).toMatchObject({ opened: 2, dialFailures: 0 })
      }).pipe(Effect.provide(withCredentials(stage, credentials)))
    }))

  it.scopedLive("of another user: KILL goes with those of the connection that it is for", () =>
    Effect.gen(function*() {
      const stage = yield* stageFor("_a", "_b")
      const { credentials, now } = changing()
      yield* Effect.gen(function*() {
        const id = yield* connectionId
        now.user = `${stage.database}_b`
        const [, took] = yield* timed(Effect.exit(Effect.timeout(sleep(5), "200 millis")))
        expect(took).toBeLessThan(1_150)
        expect(yield* connectionId).toBe(id)
        const held = MainDb.withTransaction(Effect.zipLeft(userName, Effect.sleep(200)))
        const users = yield* Effect.all([held, held], { concurrency: 2 })
        expect(users.toSorted()).toEqual([`${stage.database}_a`, `${stage.database}_b`])
      }).pipe(Effect.provide(withCredentials(stage, credentials)))
    }))

  it.scopedLive("that were refused are asked for again after one pause", () =>
    Effect.gen(function*() {
      const stage = yield* stageFor("_a")
      const { credentials, now } = changing()
      now.password = "not yet right"
      yield* Effect.gen(function*() {
        expect(databaseError(yield* Effect.exit(one)).reason).toBe("LoginRefused")
        now.password = "first"
        const [, took] = yield* timed(eventually(one))
        expect(took).toBeLessThan(1_300)
        expect(yield* MainDb.stats).toMatchObject({ dialFailures: 1 })
      }).pipe(Effect.provide(withCredentials(stage, credentials)))
    }))
})

describe("credentials that cannot be had", () => {
  it.scopedLive("fail the dial, typed, with the name of the failure and nothing that it says", () =>
    Effect.gen(function*() {
      const stage = yield* stageFor()
      const logged: Array<string> = []
      const everything = Layer.merge(
        Logger.replace(
          Logger.defaultLogger,
          Logger.make((entry) => void logged.push(inspect(entry.message) + Cause.pretty(entry.cause)))
        ),
        Logger.minimumLogLevel(LogLevel.All)
      )
      const failures: ReadonlyArray<readonly [Effect.Effect<Credentials, unknown>, string]> = [
        [Effect.try(() => JSON.parse("S3CR3T")), "UnknownException"],
        [
          Effect.fail({ name: "AccessDeniedException", message: "no S3CR3T" }),
          "AccessDeniedException"
        ],
        [Effect.die(new TypeError("S3CR3T")), "TypeError"],
        [Effect.fail("S3CR3T"), "`credentials` failed, so"],
        [Effect.fail({ _tag: "S3CR3T with spaces" }), "`credentials` failed, so"],
        [Effect.interrupt, "interrupted"]
      ]
      for (const startup of ["lazy", "verify"] as const) {
        for (const [credentials, words] of failures) {
          const layer = Layer.provide(withCredentials(stage, credentials, { startup }), everything)
          const exit = yield* Effect.exit(Effect.provide(one, layer))
          const error = databaseError(exit)
          expect(error).toMatchObject({ reason: "MissingCredentials", retryable: true })
          expect(error.detail).toContain(words)
          for (const text of renderings(error)) expect(text).not.toContain("S3CR3T")
        }
      }
      expect(logged.join()).not.toContain("S3CR3T")
      expect(yield* stage.proxy.accepted).toEqual([])
    }))

  it.scopedLive("keep an error of ours as the cause", () =>
    Effect.gen(function*() {
      const stage = yield* stageFor()
      const ours = new ServiceError({
        service: "S3",
        operation: "read",
        reason: "AccessDenied",
        retryable: false,
        attempts: 1
      })
      const exit = yield* Effect.exit(Effect.provide(one, withCredentials(stage, Effect.fail(ours))))
      expect(databaseError(exit).cause).toBe(ours)
    }))

  it.scopedLive("and what is no password at all", () =>
    Effect.gen(function*() {
      const stage = yield* stageFor()
      const wiped = Redacted.make("S3CR3T")
      Redacted.unsafeWipe(wiped)
      const exit = yield* Effect.exit(
        Effect.provide(one, withCredentials(stage, Effect.succeed({ password: wiped })))
      )
      expect(databaseError(exit)).toMatchObject({ reason: "MissingCredentials" })
      for (const given of [undefined, {}, { password: "S3CR3T" }, { user: "", password: Redacted.make("S3CR3T") }]) {
        const credentials = Effect.succeed(given as unknown as Credentials)
        const error = databaseError(yield* Effect.exit(Effect.provide(one, withCredentials(stage, credentials))))
        expect(error).toMatchObject({ reason: "MissingCredentials", retryable: false })
        for (const text of renderings(error)) expect(text).not.toContain("S3CR3T")
      }
    }))

  it.scopedLive("in time: the connect timeout covers them, and they are interrupted", () =>
    Effect.gen(function*() {
      const stage = yield* stageFor()
      let interrupted = 0
      const credentials = Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      yield* Effect.gen(function*() {
        const [exit, took] = yield* timed(Effect.exit(one))
        expect(databaseError(exit)).toMatchObject({
          reason: "MissingCredentials",
          retryable: true,
          detail: "`credentials` gave nothing within 400 ms"
        })
        expect(took).toBeGreaterThan(390)
        expect(took).toBeLessThan(1_500)
        expect(interrupted).toBeGreaterThan(0)
        expect(yield* MainDb.stats).toMatchObject({ dialling: 0, waiting: 0, size: 0 })
      }).pipe(Effect.provide(withCredentials(stage, credentials)))
    }))

  it.scopedLive("before the layer is closed: it does not wait for them, and their finalizers have run", () =>
    Effect.gen(function*() {
      const stage = yield* stageFor()
      let released = false
      const credentials = Effect.onInterrupt(
        Effect.never,
        () => Effect.delay(Effect.sync(() => void (released = true)), "50 millis")
      )
      const waiting = yield* Effect.fork(
        Effect.exit(one).pipe(
          Effect.provide(withCredentials(stage, credentials, { connectTimeout: 20_000, poolTimeout: 20_000 }))
        )
      )
      yield* Effect.sleep(100)
      const [, took] = yield* timed(Fiber.interrupt(waiting))
      expect(took).toBeLessThan(1_000)
      expect(released).toBe(true)
    }))
})
