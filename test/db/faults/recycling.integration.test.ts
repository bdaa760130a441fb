/** Connections that have reached their greatest age (`poolRecycle`). */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { fault } from "../../support/db/faults.ts"

describe("recycling", () => {
  fault("23 the age is reached while in use: the work goes on, and the connection is closed when it is given back", {
    poolRecycle: "200 millis"
  }, () =>
    Effect.gen(function*() {
      const [id, other] = yield* MainDb.withTransaction(
        Effect.all([connectionId, Effect.delay(connectionId, "400 millis")])
      )
      expect(other).toBe(id)
      expect(yield* MainDb.stats).toMatchObject({ size: 0, recycled: 1 })
      expect(yield* connectionId).not.toBe(id)
    }))
})
