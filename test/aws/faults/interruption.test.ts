/** Interruptions at any moment give back whatever was taken. */
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { make as makeTurns } from "../../../src/aws/internal/storage/local/turns.ts"
import { UploadMemory } from "../../../src/aws/internal/storage/s3/uploadMemory.ts"
import { input, narrowStorage } from "../../support/aws/faultStage.ts"
import { interruptAt, interruptEverywhere } from "../../support/interruptAt.ts"

const object = { status: 200, body: "abc", headers: { etag: "\"v1\"", "content-length": "3" } }

describe("an interruption after any step", () => {
  it.live("of a download gives its turn back", () =>
    narrowStorage((storage, server) =>
      Effect.gen(function*() {
        server.answer(() => object)
        const read = Effect.timeout(storage.readBytes("k"), "2 seconds")
        yield* interruptEverywhere(storage.readBytes("k"))
        expect((yield* read).byteLength).toBe(3)
      })
    ))

  it.live("of an upload gives its turn back, and closing the layer does not wait for it", () =>
    Effect.gen(function*() {
      const [time] = yield* Effect.timed(narrowStorage((storage, server) =>
        Effect.gen(function*() {
          server.answer(({ method }) => method === "DELETE" ? { status: 204 } : object)
          yield* interruptEverywhere(storage.uploadImage(input))
          yield* interruptEverywhere(storage.uploadImage({ ...input, data: Stream.make(new Uint8Array([1])) }))
          yield* Effect.timeout(storage.uploadImage(input), "2 seconds")
        })
      ))
      expect(Duration.toSeconds(time)).toBeLessThan(9)
    }))

  it.live("of a wait for memory gives its place back", () =>
    Effect.gen(function*() {
      const memory = new UploadMemory(1024 * 1024)
      let interrupted = true
      for (let steps = 1; interrupted; steps++) {
        const before = memory.holder("before")
        yield* before.beginning
        const holder = memory.holder("holder")
        const waiting = yield* Effect.fork(
          interruptAt(Effect.ensuring(holder.beginning, Effect.sync(holder.close)), steps)
        )
        yield* Effect.sleep(1)
        before.close()
        interrupted = yield* Fiber.join(waiting)
      }
      const last = memory.holder("last")
      expect((yield* Effect.timeout(last.beginning, "1 second")).size).toBeGreaterThan(0)
    }))

  it.live("of a wait for a turn of a folder gives it back", () =>
    Effect.gen(function*() {
      const inTurn = makeTurns(1)
      let interrupted = true
      for (let steps = 1; interrupted; steps++) {
        const before = yield* Effect.fork(inTurn(Effect.sleep(1)))
        yield* Effect.yieldNow()
        interrupted = yield* interruptAt(inTurn(Effect.void), steps)
        yield* Fiber.join(before)
      }
      expect(yield* Effect.timeout(inTurn(Effect.succeed("done")), "1 second")).toBe("done")
    }))
})
