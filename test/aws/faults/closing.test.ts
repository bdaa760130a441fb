/** What is under way when the layer is closed. */
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Storage } from "../../../src/aws/Storage.ts"
import { fakeS3 } from "../../support/aws/fakeS3.ts"
import { Faults } from "../../support/aws/faultServer.ts"
import { chunks, input, mebibyte } from "../../support/aws/faultStage.ts"
import { settings } from "../../support/aws/settings.ts"
import { eventually } from "../../support/eventually.ts"

const opened = Effect.gen(function*() {
  const server = yield* Faults
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(Layer.provide(Storage.layer, settings(server.endpoint)), scope)
  const storage = yield* Effect.provide(Storage, context)
  return { server, storage, close: Effect.timed(Scope.close(scope, Exit.void)) }
})

describe("closing the layer", () => {
  it.live("ends uploads and downloads, leaves no parts, and sends nothing afterwards", () =>
    Effect.gen(function*() {
      const { close, server, storage } = yield* opened
      const s3 = fakeS3(server, (operation, _, { method }) =>
        method === "GET"
          ? { status: 200, body: Buffer.alloc(4 * mebibyte), headers: { etag: "\"x\"" } }
          : operation === "Part" || operation === "Put"
          ? "stall"
          : undefined)
      const video = { ...input, fileExtension: "mp4" }
      const stalled = Stream.concat(chunks(17), Stream.never)
      const fibers = yield* Effect.forEach([
        storage.uploadImage(input),
        storage.uploadVideo({ ...video, data: chunks(40) }),
        // It waits for its data, not for S3.
        storage.uploadVideo({ ...video, data: stalled }),
        Stream.runForEach(storage.read("k"), () => Effect.never),
        Stream.runForEach(storage.read("k"), () => Effect.sleep("100 millis"))
      ], (work) => Effect.fork(Effect.exit(work)))
      yield* Effect.promise(() => server.arrived(1 + 5 + 3 + 2))
      const [time] = yield* close
      const sent = server.seen.length
      expect(Duration.toMillis(time)).toBeLessThan(3000)
      expect(s3.open.size).toBe(0)
      for (const fiber of [fibers[0]!, fibers[1]!, fibers[2]!, fibers[4]!]) {
        expect(yield* Fiber.join(fiber as Fiber.Fiber<Exit.Exit<unknown, unknown>>)).toMatchObject({
          cause: { error: { reason: "Closed" } }
        })
      }
      yield* Fiber.interrupt(fibers[3]!)
      yield* eventually(Effect.map(Effect.promise(server.connections), (count) => expect(count).toBe(0)))
      expect(server.seen).toHaveLength(sent)
      expect(yield* Effect.flip(storage.uploadImage(input))).toMatchObject({ reason: "Closed", attempts: 0 })
      expect(server.seen).toHaveLength(sent)
    }).pipe(Effect.provide(Faults.layer)))

  it.live("does not wait for ever for a server that does not answer", () =>
    Effect.gen(function*() {
      const { close, server, storage } = yield* opened
      fakeS3(server, (operation) => operation === "Create" ? undefined : "stall")
      const fiber = yield* Effect.fork(storage.uploadVideo({ ...input, fileExtension: "mp4", data: chunks(20) }))
      yield* Effect.promise(() => server.arrived(4))
      yield* close
      expect(Exit.isFailure(yield* Fiber.await(fiber))).toBe(true)
      yield* eventually(Effect.map(Effect.promise(server.connections), (count) => expect(count).toBe(0)))
    }).pipe(Effect.provide(Faults.layer)))
})
