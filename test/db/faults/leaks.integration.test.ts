/** Connections that are held too long, or used after they were given back. */
import { describe, expect } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { fault, faultOnStage } from "../../support/db/faults.ts"
import { layerOf } from "../../support/db/stage.ts"
import { timed } from "../../support/timed.ts"

describe("leaks", () => {
  faultOnStage("24 held too long: logged once, with the borrower's span", ({ url }) =>
    Effect.gen(function*() {
      const logged: Array<{ readonly message: unknown; readonly annotations: unknown }> = []
      const logger = Logger.make(({ annotations, message }) => {
        logged.push({ message: String(message), annotations: Object.fromEntries(annotations) })
      })
      yield* MainDb.withTransaction(Effect.zipRight(connectionId, Effect.sleep("400 millis"))).pipe(
        Effect.withSpan("the handler"),
        Effect.provide(layerOf(url, { leakThreshold: "100 millis" })),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      const leaks = logged.filter(({ message }) => String(message).includes("has been held for"))
      expect(leaks).toHaveLength(1)
      expect(leaks[0]!.annotations).toMatchObject({ database: "MainDb", borrowedBy: "the handler" })
    }))

  faultOnStage(
    "55 a threshold of a month: longer than one timer of the process can be",
    ({ url }) =>
      Effect.gen(function*() {
        // Node takes such a timer for one of a millisecond, and says so.
        const warnings: Array<string> = []
        const warned = ({ name }: Error): void => void warnings.push(name)
        yield* Effect.acquireRelease(
          Effect.sync(() => process.on("warning", warned)),
          () => Effect.sync(() => process.off("warning", warned))
        )
        yield* MainDb.withTransaction(Effect.zipRight(connectionId, Effect.sleep(50))).pipe(
          Effect.provide(layerOf(url, { leakThreshold: "30 days" }))
        )
        expect(warnings).toEqual([])
      })
  )

  fault("30 use after release: refused, and never run on a connection that another has now", {
    poolSize: 1,
    maxOverflow: 0,
    poolTimeout: "300 millis"
  }, () =>
    Effect.gen(function*() {
      const kept = yield* MainDb.use((sql) => Effect.scoped(sql.reserve))
      yield* connectionId
      const [error, took] = yield* timed(Effect.flip(kept.execute("SELECT 1", [], undefined)))
      expect(error.cause).toMatchObject({ _tag: "DatabaseError" })
      expect(took).toBeLessThan(700)
    }))

  fault("30 use after the end of a transaction: refused", {}, () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const late = yield* MainDb.withTransaction(
        Effect.zipLeft(Effect.forkDaemon(Effect.zipRight(Deferred.await(gate), connectionId)), connectionId)
      )
      yield* Deferred.succeed(gate, undefined)
      expect(yield* Effect.flip(Fiber.join(late))).toMatchObject({ reason: "TransactionClosed" })
    }))
})
