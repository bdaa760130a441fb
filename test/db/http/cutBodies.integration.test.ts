/** Bodies that are made outside of the session, and fail: the client sees that they are not complete. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { expect } from "@effect/vitest"
import { Cause, Deferred, Effect, Logger, Schema, Stream } from "effect"
import { GarminDb, MainDb } from "../../../src/db/Database.ts"
import * as HttpSession from "../../../src/db/HttpSession.ts"
import { DatabaseError } from "../../../src/Errors.ts"
import { garmin } from "../../support/db/databases.ts"
import { faultWithTable, ids, insert } from "../../support/db/faults.ts"
import { patient, servingApp } from "../../support/http/serving.ts"

const session = HttpSession.make(MainDb)

const logged = () => {
  const lines: Array<{ readonly message: unknown; readonly error: unknown }> = []
  return {
    lines,
    layer: Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ cause, message }) => {
        lines.push({ message: String(message), error: Cause.squash(cause) })
      })
    )
  }
}

// The server finds out at the second row.
const failing = MainDb.use((sql) =>
  Effect.succeed(sql<{ id: number }>`SELECT id, (SELECT 1 FROM t x WHERE x.id <= t.id) FROM t ORDER BY id`.stream)
)

const exported = Effect.map(failing, (rows) =>
  HttpServerResponse.stream(
    Stream.concat(Stream.make("begun\n"), Stream.map(rows, ({ id }) => `${id}\n`)).pipe(Stream.encodeText)
  ))

const app = Effect.gen(function*() {
  const { url } = yield* HttpServerRequest.HttpServerRequest
  if (url === "/plain") return HttpServerResponse.stream(Stream.encodeText(Stream.make("a", "b")))
  if (url === "/endless") return HttpServerResponse.stream(Stream.repeatValue(new Uint8Array(65_536)))
  if (url === "/unused") return yield* exported
  if (url === "/slow") {
    return HttpServerResponse.stream(
      Stream.encodeText(
        Stream.concat(Stream.make("slow, "), Stream.fromEffect(Effect.delay(Effect.succeed("whole"), "300 millis")))
      )
    )
  }
  if (url === "/early") return HttpServerResponse.stream(Stream.fail("no byte"))
  if (url === "/interrupted") {
    return HttpServerResponse.stream(Stream.concat(Stream.make(new Uint8Array(9)), Stream.fromEffect(Effect.interrupt)))
  }
  if (url === "/undecoded") {
    return HttpServerResponse.stream(
      Stream.fromEffect(Schema.decodeUnknown(Schema.Struct({ id: Schema.Number }))({ id: "hush" })).pipe(
        Stream.map(() => new Uint8Array(1))
      )
    )
  }
  if (url === "/defect") {
    return HttpServerResponse.stream(
      Stream.concat(Stream.make(new Uint8Array(9)), Stream.die(new Error("a bug"))),
      { contentLength: 10 }
    )
  }
  yield* insert(3)
  return HttpSession.afterCommit(yield* exported)
})

for (
  const [name, around] of [["a session", session(app)], ["a session in a session", session(session(app))]] as const
) {
  faultWithTable(`a body that fails is cut and logged once, in ${name}`, patient, (stage) =>
    Effect.gen(function*() {
      yield* insert(1)
      yield* insert(2)
      const { layer, lines } = logged()
      const client = yield* Effect.provide(servingApp(around), layer)

      expect(yield* client.get("/plain")).toMatchObject({ body: "ab", cut: false })
      const closed = yield* client.open("/endless")
      yield* Effect.async<void>((resume) => void closed.once("data", () => resume(Effect.void)))
      closed.destroy()
      expect(lines).toEqual([])

      expect(yield* client.get("/used")).toMatchObject({ status: 200, cut: true })
      expect(yield* client.get("/unused")).toMatchObject({ status: 200, cut: true })
      expect(yield* client.get("/defect")).toMatchObject({ status: 200, cut: true })
      const errors = lines.filter(({ message }) => message === "HttpSession: a response was cut: its body failed")
      expect(errors.map(({ error }) => error instanceof DatabaseError ? error.errno : String(error))).toEqual([
        1242,
        1242,
        "Error: a bug"
      ])

      lines.length = 0
      // The status is told, although no byte of the body was there to be sent with it.
      expect(yield* client.get("/early")).toMatchObject({ status: 200, body: "", cut: true })
      expect(lines.map(({ error }) => String(error))).toEqual(["no byte"])
      lines.length = 0
      expect(yield* client.get("/interrupted")).toMatchObject({ status: 200, cut: true })
      expect(lines).toEqual([])
      expect(yield* client.get("/undecoded")).toMatchObject({ status: 200, cut: true })
      expect(lines).toHaveLength(1)
      expect(lines[0]!.message).toMatch(/does not fit its schema: \[id\]$/)
      expect(String(lines[0]!.error)).not.toContain("hush")

      // What was asked before on the same connection is answered to its end.
      const socket = yield* client.open("/slow")
      socket.write("GET /early HTTP/1.1\r\nHost: localhost\r\n\r\n")
      const all = yield* Effect.async<string>((resume) => {
        let text = ""
        socket.on("data", (chunk) => text += String(chunk))
        socket.once("close", () => resume(Effect.succeed(text)))
      })
      expect(all).toMatch(/slow, \r\n5\r\nwhole\r\n0\r\n\r\n$/)

      // What was done before was committed, and is there.
      expect(yield* ids(stage)).toEqual([1, 2, 3])
    }))
}

faultWithTable(
  "a body that fails is cut where the session was unused until it ended, and used while it did",
  patient,
  () =>
    Effect.gen(function*() {
      const ending = yield* Deferred.make<void>()
      const used = yield* Deferred.make<unknown, DatabaseError>()
      const app = HttpSession.make(GarminDb, MainDb)(Effect.gen(function*() {
        yield* GarminDb.afterCommit(
          Effect.zipRight(Deferred.succeed(ending, undefined), Effect.orDie(Deferred.await(used)))
        )
        yield* Effect.forkDaemon(
          Deferred.await(ending).pipe(Effect.zipRight(insert(1)), Effect.intoDeferred(used))
        )
        return HttpServerResponse.stream(Stream.concat(Stream.make(Uint8Array.of(97)), Stream.fail("late")))
      }))
      const client = yield* Effect.provide(servingApp(app), [logged().layer, garmin()])
      expect(yield* client.get("/")).toMatchObject({ status: 200, body: "a", cut: true })
    })
)
