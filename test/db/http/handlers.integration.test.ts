/** What handlers may do with a session: streams, sockets, several databases, nested transactions and exceptions. */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, expect } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Readable } from "node:stream"
import { WebSocket } from "undici"
import { GarminDb, MainDb, UfcDb } from "../../../src/db/Database.ts"
import * as HttpSession from "../../../src/db/HttpSession.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { garmin, ufc } from "../../support/db/databases.ts"
import { fault, faultWithTable, ids, insert } from "../../support/db/faults.ts"
import { eventually } from "../../support/eventually.ts"
import { patient, quiet, servingApp } from "../../support/http/serving.ts"

const session = HttpSession.make(MainDb)
const ok = HttpServerResponse.text("ok")
const active = Effect.map(MainDb.stats, ({ active }) => active)
const json = (value: unknown) => HttpServerResponse.unsafeJson(value)

/** An app of these paths in the session. */
const serve = <E, R>(paths: Readonly<Record<string, Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>>>) =>
  servingApp(
    Object.entries(paths).reduce(
      (router, [path, handler]) => HttpRouter.get(router, path as "/", handler),
      HttpRouter.empty as HttpRouter.HttpRouter<E, HttpRouter.HttpRouter.ExcludeProvided<R>>
    ).pipe(HttpRouter.use(session))
  ).pipe(Effect.provide(quiet))

describe("a request", () => {
  fault("without a statement borrows nothing; with one it does from there on", patient, () =>
    Effect.gen(function*() {
      const client = yield* serve({
        "/nothing": Effect.map(active, json),
        "/one": Effect.gen(function*() {
          const before = yield* active
          yield* connectionId
          return json([before, yield* active])
        })
      })
      expect((yield* client.get("/nothing")).body).toBe("0")
      expect((yield* client.get("/one")).body).toBe("[0,1]")
      expect(yield* active).toBe(0)
    }))

  faultWithTable(
    "keeps what a response marks, whatever is changed in it afterwards",
    patient,
    (stage) =>
      Effect.gen(function*() {
        const kept = HttpSession.keep(HttpServerResponse.empty({ status: 401 }))
        const client = yield* serve({
          "/kept": Effect.as(insert(1), kept),
          "/yielded": Effect.zipRight(insert(2), kept),
          "/changed": Effect.as(
            insert(3),
            HttpServerResponse.setStatus(HttpServerResponse.setHeader(kept, "a", "b"), 403)
          ),
          "/other": Effect.as(insert(4), HttpServerResponse.empty({ status: 401 }))
        })
        for (const path of ["/kept", "/yielded", "/changed", "/other"]) {
          expect((yield* client.get(path)).status).toBe(path === "/changed" ? 403 : 401)
        }
        expect(yield* ids(stage)).toEqual([1, 2, 3])
      })
  )

  faultWithTable(
    "`none` commits each statement by itself, `outside` what must stay",
    patient,
    (stage) =>
      Effect.gen(function*() {
        const bad = HttpServerResponse.empty({ status: 400 })
        const client = yield* serve({
          "/none": HttpSession.none(Effect.as(insert(1), bad)),
          "/outside": Effect.as(Effect.zipRight(insert(2), MainDb.outside(insert(3))), bad)
        })
        yield* client.get("/none")
        yield* client.get("/outside")
        expect(yield* ids(stage)).toEqual([1, 3])
      })
  )

  faultWithTable("HEAD runs the handler of GET, and commits", patient, (stage) =>
    Effect.gen(function*() {
      const client = yield* serve({ "/": Effect.as(insert(1), ok) })
      expect(yield* client.get("/", { method: "HEAD" })).toMatchObject({ status: 200, body: "" })
      expect(yield* ids(stage)).toEqual([1])
    }))

  faultWithTable("a swallowed deadlock is no success", patient, (stage) =>
    Effect.gen(function*() {
      const client = yield* serve({
        "/": Effect.gen(function*() {
          yield* insert(1)
          const id = yield* connectionId
          yield* stage.admin(`KILL ${id}`)
          yield* Effect.ignore(connectionId)
          return ok
        })
      })
      expect(yield* client.get("/")).toMatchObject({ status: 503 })
      expect(yield* ids(stage)).toEqual([])
    }))

  faultWithTable("a hook that sets a cookie in the handler still runs", patient, () =>
    Effect.gen(function*() {
      const client = yield* serve({
        "/": Effect.zipRight(
          HttpApp.appendPreResponseHandler((_request, response) =>
            Effect.succeed(HttpServerResponse.setHeader(response, "x-hook", "ran"))
          ),
          Effect.as(insert(1), ok)
        )
      })
      expect((yield* client.get("/")).headers["x-hook"]).toBe("ran")
    }))
})

describe("transactions of a handler", () => {
  faultWithTable("are savepoints: a failed one is undone alone", patient, (stage) =>
    Effect.gen(function*() {
      const client = yield* serve({
        "/": Effect.gen(function*() {
          yield* insert(1)
          yield* Effect.ignore(MainDb.withTransaction(Effect.zipRight(insert(2), Effect.fail("no"))))
          yield* MainDb.withTransaction(insert(3))
          return ok
        })
      })
      expect(yield* client.get("/")).toMatchObject({ status: 200 })
      expect(yield* ids(stage)).toEqual([1, 3])
    }))

  faultWithTable("the first one sets the options, if nothing has begun", patient, () =>
    Effect.gen(function*() {
      const readOnly = MainDb.withTransaction(insert(1), { readOnly: true })
      const client = yield* serve({
        "/first": Effect.as(readOnly, ok),
        "/late": Effect.as(Effect.zipRight(connectionId, readOnly), ok),
        "/second": Effect.as(
          Effect.zipRight(
            MainDb.withTransaction(Effect.void, { isolation: "SERIALIZABLE" }),
            MainDb.withTransaction(Effect.void, { isolation: "READ COMMITTED" })
          ),
          ok
        )
      })
      // Refused by the server, and by us: the log tells which.
      for (const path of ["/first", "/late", "/second"]) expect(yield* client.get(path)).toMatchObject({ status: 500 })
      const reason = yield* serve({
        "/first": Effect.map(Effect.flip(readOnly), ({ reason }) => json(reason)),
        "/late": Effect.map(Effect.flip(Effect.zipRight(connectionId, readOnly)), ({ reason }) => json(reason))
      })
      expect((yield* reason.get("/first")).body).toBe("\"ReadOnlyTransaction\"")
      expect((yield* reason.get("/late")).body).toBe("\"InvalidParameter\"")
    }))
})

describe("a streamed body", () => {
  const numbers = (count: number) =>
    Stream.unwrap(
      Effect.map(MainDb, (sql) => Stream.map(sql`SELECT id FROM t LIMIT ${count}`.stream, ({ id }) => `${id}\n`))
    )
      .pipe(Stream.orDie, Stream.encodeText)
  const captured = Effect.map(
    Effect.context<MainDb>(),
    (context) => HttpServerResponse.stream(Stream.provideContext(numbers(10), context))
  )
  const plain = HttpServerResponse.stream(Stream.encodeText(Stream.make("a", "b")))

  faultWithTable(
    "is refused if the request has used its session, unless it says `afterCommit`",
    patient,
    (stage) =>
      Effect.gen(function*() {
        const client = yield* serve({
          "/captured": Effect.zipRight(insert(1), captured),
          "/plain": Effect.as(insert(2), plain),
          "/readable": Effect.as(insert(3), HttpServerResponse.raw(Readable.from(["a"]))),
          "/web": Effect.as(insert(4), HttpServerResponse.raw(new Blob(["a"]).stream())),
          "/unused": Effect.succeed(plain),
          "/first": captured,
          "/after": Effect.zipRight(insert(7), Effect.map(captured, HttpSession.afterCommit)),
          "/rolled-back": Effect.zipRight(
            insert(6),
            Effect.map(captured, (body) => HttpSession.afterCommit(HttpServerResponse.setStatus(body, 404)))
          ),
          "/header": Effect.zipRight(
            insert(8),
            Effect.map(
              captured,
              (response) => HttpServerResponse.setHeader(HttpSession.afterCommit(response), "a", "b")
            )
          )
        })
        for (const path of ["/captured", "/plain", "/readable", "/web"]) {
          expect([path, (yield* client.get(path)).status]).toEqual([path, 500])
        }
        expect(yield* client.get("/unused")).toMatchObject({ status: 200, body: "ab" })
        expect(yield* client.get("/after")).toMatchObject({ status: 200, body: "7\n", cut: false })
        expect(yield* client.get("/rolled-back")).toMatchObject({ status: 404, body: "7\n", cut: false })
        expect(yield* client.get("/header")).toMatchObject({ status: 200, body: "7\n8\n", cut: false })
        expect(yield* client.get("/first")).toMatchObject({ status: 200, body: "7\n8\n", cut: false })
        expect(yield* ids(stage)).toEqual([7, 8])
      })
  )

  faultWithTable("holds no connection while a client does not read", patient, () =>
    Effect.gen(function*() {
      const client = yield* serve({
        "/": Effect.as(
          connectionId,
          HttpSession.afterCommit(HttpServerResponse.stream(Stream.repeatValue(new Uint8Array(65_536))))
        )
      })
      const socket = yield* client.open("/")
      socket.pause()
      yield* Effect.sleep("100 millis")
      expect(yield* active).toBe(0)
      socket.destroy()
    }))
})

describe("a WebSocket", () => {
  const websocket = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="
  }
  const echo = Effect.gen(function*() {
    yield* insert(1)
    const socket = yield* HttpServerRequest.upgrade
    const write = yield* socket.writer
    let next = 2
    yield* socket.runRaw(() =>
      Effect.gen(function*() {
        yield* insert(next)
        next++
        yield* MainDb.withTransaction(insert(next))
        next++
        yield* write(String(yield* active))
      })
    )
    return HttpServerResponse.empty()
  }).pipe(Effect.scoped)

  faultWithTable(
    "commits before it opens, and then each statement by itself",
    patient,
    (stage) =>
      Effect.gen(function*() {
        const client = yield* serve({ "/": Effect.catchTag(echo, "SocketError", () => HttpServerResponse.empty()) })
        const socket = new WebSocket(`ws://127.0.0.1:${client.port}/`)
        const answer = yield* Effect.async<string>((resume) => {
          socket.addEventListener("open", () => socket.send("go"))
          socket.addEventListener("message", ({ data }) => resume(Effect.succeed(String(data))))
          socket.addEventListener("error", ({ error }) => resume(Effect.die(error)))
        })
        expect(answer).toBe("0")
        expect(yield* ids(stage)).toEqual([1, 2, 3])
        socket.close()
      })
  )

  faultWithTable("what is to run after its COMMIT has the database", {}, (stage) =>
    Effect.gen(function*() {
      const client = yield* serve({
        "/": Effect.gen(function*() {
          yield* insert(1)
          yield* MainDb.afterCommit(Effect.orDie(insert(2)))
          yield* HttpServerRequest.upgrade
          return ok
        })
      })
      yield* client.get("/", { headers: websocket })
      expect(yield* ids(stage)).toEqual([1, 2])
    }))

  faultWithTable("a failed COMMIT leaves it unopened", patient, (stage) =>
    Effect.gen(function*() {
      yield* connectionId
      const client = yield* serve({ "/": Effect.catchTag(echo, "SocketError", () => HttpServerResponse.empty()) })
      yield* stage.proxy.trap("COMMIT", "reset")
      expect(yield* client.get("/", { headers: websocket })).toMatchObject({ status: 500 })
      expect(yield* ids(stage)).toEqual([])
    }))

  faultWithTable("after a failed COMMIT nothing of its handler is committed", {}, (stage) =>
    Effect.gen(function*() {
      yield* connectionId
      const client = yield* serve({
        "/": Effect.gen(function*() {
          yield* insert(1)
          yield* Effect.exit(HttpServerRequest.upgrade)
          yield* Effect.exit(insert(2))
          yield* Effect.exit(MainDb.withTransaction(insert(3)))
          return ok
        })
      })
      yield* stage.proxy.trap("COMMIT", "reset")
      expect(yield* client.get("/", { headers: websocket })).toMatchObject({ status: 500 })
      expect(yield* ids(stage)).toEqual([])
    }))

  faultWithTable("whoever does not wait for it waits for its COMMIT", {}, (stage) =>
    Effect.gen(function*() {
      yield* connectionId
      const client = yield* serve({
        "/": Effect.gen(function*() {
          yield* insert(1)
          yield* Effect.forkDaemon(Effect.exit(HttpServerRequest.upgrade))
          yield* Effect.yieldNow()
          return ok
        })
      })
      yield* stage.proxy.trap("COMMIT", "reset")
      const { body, status } = yield* client.get("/", { headers: websocket })
      expect([status, JSON.parse(body)._tag]).toEqual([500, "OutcomeUnknown"])
      expect(yield* ids(stage)).toEqual([])
    }))

  faultWithTable(
    "a header that asks for one takes no session away from a handler that makes none",
    patient,
    (stage) =>
      Effect.gen(function*() {
        const client = yield* serve({ "/": Effect.as(insert(1), HttpServerResponse.empty({ status: 400 })) })
        const headers = { connection: "Upgrade", upgrade: "websocket" }
        expect(yield* client.get("/", { headers })).toMatchObject({ status: 400 })
        expect(yield* client.get("/", { headers: { upgrade: "websocket" } })).toMatchObject({ status: 400 })
        expect(yield* ids(stage)).toEqual([])
      })
  )
})

describe("several databases", () => {
  const make = Effect.gen(function*() {
    yield* GarminDb.use((sql) => sql`CREATE TABLE g (id INT PRIMARY KEY)`)
    yield* UfcDb.use((sql) => sql`CREATE TABLE u (id INT PRIMARY KEY)`)
  })
  const intoGarmin = (id: number) => GarminDb.use((sql) => sql`INSERT INTO g VALUES (${id})`)
  const inGarmin = Effect.map(
    GarminDb.use((sql) => sql`SELECT id FROM g ORDER BY id`),
    (rows) => rows.map(({ id }) => id)
  )

  faultWithTable(
    "commit together, roll back together, and say so if only some were committed",
    patient,
    (stage) =>
      Effect.gen(function*() {
        yield* make
        const all = HttpSession.make(GarminDb, MainDb, UfcDb)
        const app = HttpRouter.empty.pipe(
          HttpRouter.get("/ok", Effect.as(Effect.zipRight(insert(1), intoGarmin(1)), ok)),
          HttpRouter.get(
            "/bad",
            Effect.as(Effect.zipRight(insert(2), intoGarmin(2)), HttpServerResponse.empty({ status: 400 }))
          ),
          HttpRouter.get("/lost", Effect.as(Effect.zipRight(insert(3), intoGarmin(3)), ok)),
          HttpRouter.get(
            "/dead",
            Effect.gen(function*() {
              yield* intoGarmin(4)
              yield* insert(4)
              yield* stage.proxy.reset
              yield* Effect.sleep("50 millis")
              return ok
            })
          ),
          HttpRouter.use(all)
        )
        const client = yield* Effect.provide(servingApp(app), quiet)
        expect(yield* client.get("/ok")).toMatchObject({ status: 200 })
        expect(yield* client.get("/bad")).toMatchObject({ status: 400 })
        expect([yield* ids(stage), yield* inGarmin]).toEqual([[1], [1]])
        // Only MainDb is behind the proxy. Garmin is committed first, so the whole was carried out in part.
        yield* stage.proxy.trap("COMMIT", "reset")
        const lost = yield* client.get("/lost")
        expect([lost.status, JSON.parse(lost.body)._tag]).toEqual([500, "OutcomeUnknown"])
        yield* eventually(Effect.map(ids(stage), (found) => expect(found).toEqual([1])))
        expect(yield* inGarmin).toEqual([1, 3])
        // A connection that is known to be lost is found before the first COMMIT.
        const dead = yield* client.get("/dead")
        expect([dead.status, JSON.parse(dead.body)._tag]).toEqual([503, "Unavailable"])
        expect([yield* ids(stage), yield* inGarmin]).toEqual([[1], [1, 3]])
      }).pipe(Effect.provide([garmin(), ufc()]))
  )
})
