/** Bodies that are made outside of the session, and fail: the client sees that they are not complete. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { expect } from "@effect/vitest"
import { Cause, Effect, Logger, Stream } from "effect"
import { MainDb } from "../../../src/db/Database.ts"
import * as HttpSession from "../../../src/db/HttpSession.ts"
import { DatabaseError } from "../../../src/Errors.ts"
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
      // What was done before was committed, and is there.
      expect(yield* ids(stage)).toEqual([1, 2, 3])
    }))
}
