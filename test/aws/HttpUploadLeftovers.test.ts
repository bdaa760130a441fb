/** That no request leaves files behind which it should not, whatever ends it; with Storage in memory. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { Storage } from "../../src/aws/Storage.ts"
import { ServiceError } from "../../src/Errors.ts"
import { answer, connect, file, form, head, post, receive, serve } from "../support/aws/uploadServer.ts"
import { eventually } from "../support/eventually.ts"

const stored = Effect.map(Storage.objects, (objects) => objects.length)

const nothingStays = eventually(Effect.filterOrFail(stored, (count) => count === 0, (count) => `${count} files stay`))

const inMemory = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provide(Effect.scoped(effect), Storage.layerMemory)

const two = form(file("f", "a.txt", "1"), file("f", "b.txt", "22"))

const refused = new ServiceError({
  service: "S3",
  operation: "PutObject",
  reason: "AccessDenied",
  retryable: false,
  attempts: 1
})

const cannotDelete = Layer.provide(
  Layer.effect(
    Storage,
    Effect.map(Storage, (storage): Storage.Service => ({ ...storage, deleteMany: () => Effect.fail(refused) }))
  ),
  Storage.layerMemory
)

describe("a request that does not succeed", () => {
  it.live("leaves nothing if a later file is refused or cannot be stored", () =>
    inMemory(Effect.gen(function*() {
      const storage = yield* Storage
      const context = Effect.provideService(Storage, storage)
      const seen: Array<number> = []
      const port = yield* serve(Effect.map(
        receive({
          file: (part) =>
            part.name === "b.txt"
              ? Effect.zipRight(Effect.map(context(stored), (count) => seen.push(count)), Effect.fail(refused))
              : storage.uploadChatAttachment({ customerId: 7, data: part.data, fileExtension: "txt" })
        }),
        answer
      ))
      expect(yield* post(port, two)).toMatchObject({ status: 500 })
      // The first one was there.
      expect(seen).toEqual([1])
      expect(yield* stored).toBe(0)
    })))

  it.live.each<[string, Effect.Effect<HttpServerResponse.HttpServerResponse, unknown>, number]>([
    ["fails", Effect.fail("no row"), 500],
    ["fails with a refusal of its own", HttpServerResponse.json({}, { status: 409 }), 409],
    ["dies", Effect.die("defect"), 500],
    ["is interrupted", Effect.interrupt, 503]
  ])("leaves nothing if the handler %s afterwards", ([, ending, status]) =>
    inMemory(Effect.gen(function*() {
      const between: Array<number> = []
      const port = yield* serve(
        receive().pipe(
          Effect.zipRight(Effect.map(stored, (count) => between.push(count))),
          Effect.zipRight(ending)
        )
      )
      expect(yield* post(port, two)).toMatchObject({ status })
      expect(between).toEqual([2])
      yield* nothingStays
    })))

  it.live("leaves nothing if the client goes in the middle of the second file", () =>
    inMemory(Effect.gen(function*() {
      const exit = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
      const port = yield* serve(Effect.map(receive(), answer).pipe(Effect.onExit((it) => Deferred.succeed(exit, it))))
      const { socket } = yield* connect(port)
      socket.write(head(two.length + 1000))
      socket.write(two.subarray(0, -70))
      yield* eventually(Effect.filterOrFail(stored, (count) => count === 1))
      socket.resetAndDestroy()
      const ended = yield* Effect.timeout(Deferred.await(exit), "5 seconds")
      expect(Exit.isFailure(ended)).toBe(true)
      yield* nothingStays
    })))

  it.live("leaves nothing if the client goes while the handler works", () =>
    inMemory(Effect.gen(function*() {
      const working = yield* Deferred.make<void>()
      const port = yield* serve(
        receive().pipe(Effect.zipRight(Deferred.succeed(working, undefined)), Effect.zipRight(Effect.never))
      )
      const { socket } = yield* connect(port)
      socket.write(head(two.length))
      socket.write(two)
      yield* Deferred.await(working)
      expect(yield* stored).toBe(2)
      socket.destroy()
      yield* nothingStays
    })))

  it.live("ends with 408 if the client sends nothing for too long", () =>
    inMemory(Effect.gen(function*() {
      const port = yield* serve(Effect.map(receive({ idleTimeout: "100 millis" }), answer))
      const { reply, socket } = yield* connect(port)
      socket.write(head(two.length))
      socket.write(two.subarray(0, -70))
      expect(yield* reply).toMatchObject({ status: 408, body: { _tag: "UploadStalled", reason: "Timeout" } })
      yield* nothingStays
    })))

  it.live("says in the log which files could not be deleted, and ends all the same", () =>
    Effect.gen(function*() {
      const logged: Array<{ readonly message: unknown; readonly annotations: object }> = []
      const logger = Logger.make(({ annotations, message }) => {
        logged.push({ message, annotations: Object.fromEntries(HashMap.toEntries(annotations)) })
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const port = yield* serve(Effect.zipRight(receive(), Effect.fail("no row")))
        expect(yield* post(port, two)).toMatchObject({ status: 500 })
        yield* eventually(Effect.suspend(() =>
          logged.some(({ message }) => String(message).includes("may be left in the bucket"))
            ? Effect.void
            : Effect.fail("no log")
        ))
        const [entry] = logged.filter(({ message }) =>
          String(message).includes("may be left")
        )
        expect(entry!.annotations).toMatchObject({ bucket: "memory", keys: [expect.any(String), expect.any(String)] })
      })).pipe(Effect.provide(cannotDelete), Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
    }))
})
