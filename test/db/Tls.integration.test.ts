import { describe, expect, layer } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type AddressInfo, connect, createServer } from "node:net"
import tls from "node:tls"
import { vi } from "vitest"
import { MainDb } from "../../src/db/Database.ts"
import type { DatabaseError } from "../../src/Errors.ts"
import { adminOn } from "../support/db/admin.ts"
import { connectionId } from "../support/db/connectionId.ts"
import * as FaultProxy from "../support/db/faultProxy.ts"
import { type ClientFiles, missing, Tls } from "../support/db/tlsServer.ts"
import type { TestMysql } from "../support/globalSetup.ts"
import { timed } from "../support/timed.ts"

const lacking = await Effect.runPromise(missing)

const database = (server: TestMysql, options: Readonly<Record<string, string>>, startup: "lazy" | "verify" = "lazy") =>
  MainDb.layerConfig(Config.succeed({
    url: Redacted.make(
      `mysql://${server.user}:${server.password}@${server.host}:${server.port}/mysql?${new URLSearchParams(options)}`
    ),
    poolTimeout: 5_000,
    startup
  }))

/** The same server by the name that its certificate may have. */
const byName = (server: TestMysql): TestMysql => ({ ...server, host: "localhost" })

/** The cipher of the connection; empty where it is not encrypted. */
const cipher = MainDb.use((sql) => sql<{ Value: string }>`SHOW SESSION STATUS LIKE 'Ssl_cipher'`).pipe(
  Effect.map(([row]) => row?.Value)
)

const one = MainDb.use((sql) => sql`SELECT 1`)

const failure = <A, R>(effect: Effect.Effect<A, unknown, R>): Effect.Effect<DatabaseError, never, R> =>
  Effect.map(Effect.orDie(Effect.flip(effect)), (error) => error as DatabaseError)

/** A server whose greeting says that it has no TLS, and what it is sent then. */
const withoutTls = (
  server: TestMysql
): Effect.Effect<TestMysql & { readonly heard: Array<Buffer> }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => {
      const heard: Array<Buffer> = []
      const listener = createServer((client) => {
        const upstream = connect(server.port, server.host)
        client.on("error", () => {})
        client.on("data", (chunk) => {
          heard.push(chunk)
          upstream.write(chunk)
        })
        client.on("close", () => upstream.destroy())
        upstream.on("error", () => client.destroy())
        upstream.on("close", () => client.destroy())
        upstream.once("data", (greeting) => {
          // After the header: protocol, version and its 0, thread (4), scramble (8), 0, then the low flags; 0x0800 is TLS.
          const flags = greeting.indexOf(0, 5) + 1 + 4 + 8 + 1
          greeting.writeUInt16LE(greeting.readUInt16LE(flags) & ~0x0800, flags)
          client.write(greeting)
          upstream.on("data", (chunk) => client.write(chunk))
        })
      })
      return new Promise<{ readonly listener: typeof listener; readonly heard: Array<Buffer> }>((resolve) =>
        listener.listen(0, "127.0.0.1", () => resolve({ listener, heard }))
      )
    }),
    ({ listener }) => Effect.promise(() => new Promise<void>((resolve) => listener.close(() => resolve())))
  ).pipe(Effect.map(({ heard, listener }) => ({ ...server, heard, port: (listener.address() as AddressInfo).port })))

describe.skipIf(lacking !== undefined)(`TLS${lacking === undefined ? "" : ` (this machine lacks ${lacking})`}`, () => {
  layer(Tls.layer, { excludeTestServices: true, timeout: "60 seconds" })((it) => {
    describe("encrypts", () => {
      it.scoped("not where ssl-mode is DISABLED, which is the default", () =>
        Effect.gen(function*() {
          const { right } = yield* Tls
          expect(yield* Effect.provide(cipher, database(right, {}))).toBe("")
          expect(yield* Effect.provide(cipher, database(right, { "ssl-mode": "DISABLED" }))).toBe("")
        }))

      it.scoped("with REQUIRED, whoever signed the certificate and whatever name it has", () =>
        Effect.gen(function*() {
          const { misnamed } = yield* Tls
          expect(yield* Effect.provide(cipher, database(misnamed, { "ssl-mode": "REQUIRED" }))).toMatch(/^\w/)
        }))

      it.scoped("with VERIFY_CA and the right authority, whatever name the certificate has", () =>
        Effect.gen(function*() {
          const { authority, misnamed } = yield* Tls
          const options = { "ssl-mode": "VERIFY_CA", "ssl-ca": authority }
          expect(yield* Effect.provide(cipher, database(misnamed, options, "verify"))).toMatch(/^\w/)
          expect(yield* Effect.provide(cipher, database(misnamed, { "ssl-ca": authority }))).toMatch(/^\w/)
        }))

      it.scoped("with VERIFY_IDENTITY, the right authority and the right name", () =>
        Effect.gen(function*() {
          const { authority, right } = yield* Tls
          const options = { "ssl-mode": "VERIFY_IDENTITY", "ssl-ca": authority }
          const layer = database(byName(right), options, "verify")
          // Three connections: each must check the server by itself.
          const ciphers = yield* Effect.provide(
            Effect.all([cipher, MainDb.withTransaction(cipher), MainDb.withTransaction(cipher)], { concurrency: 3 }),
            layer
          )
          for (const found of ciphers) expect(found).toMatch(/^\w/)
        }))
    })

    describe("refuses", () => {
      const refused: ReadonlyArray<
        readonly [string, (servers: Tls["Type"]) => readonly [TestMysql, Readonly<Record<string, string>>]]
      > = [
        [
          "VERIFY_CA and the wrong authority",
          ({ right, stranger }) => [right, { "ssl-mode": "VERIFY_CA", "ssl-ca": stranger }]
        ],
        ["VERIFY_CA and an authority that Node does not know", ({ right }) => [right, { "ssl-mode": "VERIFY_CA" }]],
        ["VERIFY_IDENTITY and the wrong authority", ({ right, stranger }) => [
          byName(right),
          { "ssl-mode": "VERIFY_IDENTITY", "ssl-ca": stranger }
        ]],
        ["VERIFY_IDENTITY and the wrong name", ({ authority, misnamed }) => [
          byName(misnamed),
          { "ssl-mode": "VERIFY_IDENTITY", "ssl-ca": authority }
        ]]
      ]
      for (const [what, caseOf] of refused) {
        it.scoped(`${what}: typed, at once, also while the layer is built`, () =>
          Effect.gen(function*() {
            const [server, options] = caseOf(yield* Tls)
            for (const startup of ["lazy", "verify"] as const) {
              const [error, took] = yield* timed(failure(Effect.provide(one, database(server, options, startup))))
              expect(error).toMatchObject({ _tag: "DatabaseError", reason: "Tls", retryable: false })
              expect(error.message).not.toContain(server.password)
              expect(took).toBeLessThan(2_000)
            }
          }))
      }

      it.scoped("with few dials: many borrowers cost a few, and those that come a moment later none", () =>
        Effect.gen(function*() {
          const { right, stranger } = yield* Tls
          const proxy = yield* FaultProxy.make(right)
          const at = { ...right, port: proxy.port }
          yield* Effect.gen(function*() {
            const exits = yield* Effect.all(Array.from({ length: 50 }, () => Effect.exit(one)), { concurrency: 50 })
            expect(exits.every(Exit.isFailure)).toBe(true)
            const dials = (yield* proxy.accepted).length
            expect(dials).toBeLessThanOrEqual(4)
            for (let i = 0; i < 20; i++) expect((yield* failure(one)).reason).toBe("Tls")
            expect((yield* proxy.accepted).length).toBe(dials)
          }).pipe(Effect.provide(database(at, { "ssl-ca": stranger })))
        }))

      it.scoped("a server that says it has no TLS: nothing is sent unencrypted", () =>
        Effect.gen(function*() {
          const { authority, right } = yield* Tls
          const plain = yield* withoutTls(right)
          for (const options of [{ "ssl-mode": "REQUIRED" }, { "ssl-ca": authority }]) {
            const error = yield* failure(Effect.provide(one, database(plain, options)))
            expect(error).toMatchObject({ _tag: "DatabaseError", reason: "Tls", retryable: false })
          }
          expect(plain.heard).toEqual([])
          // Without TLS that server works.
          expect(yield* Effect.provide(cipher, database(plain, {}))).toBe("")
        }))
    })

    describe("client certificates", () => {
      it.scoped("are shown to accounts that ask for one, by the connection and by its KILL", () =>
        Effect.gen(function*() {
          const { authority, client, impostor, right } = yield* Tls
          const admin = adminOn(right)
          yield* Effect.acquireRelease(
            admin(`CREATE USER shown@'%' IDENTIFIED BY 'shown' REQUIRE X509`),
            () => admin(`DROP USER shown@'%'`)
          )
          yield* admin(`GRANT SELECT ON *.* TO shown@'%'`)
          const as = (files: ClientFiles | undefined, startup: "lazy" | "verify" = "verify") =>
            database({ ...right, user: "shown", password: "shown" }, {
              "ssl-mode": "VERIFY_CA",
              "ssl-ca": authority,
              ...(files === undefined ? {} : { "ssl-cert": files.certificate, "ssl-key": files.key })
            }, startup)
          yield* Effect.gen(function*() {
            expect(yield* cipher).toMatch(/^\w/)
            const before = yield* connectionId
            yield* Effect.ignore(Effect.timeout(MainDb.use((sql) => sql`SELECT SLEEP(3)`), 200))
            expect(yield* connectionId).toBe(before)
          }).pipe(Effect.provide(as(client)))
          expect(yield* failure(Effect.provide(one, as(undefined)))).toMatchObject({
            reason: "LoginRefused",
            errno: 1045
          })
          // The server ends the handshake itself: what it says of it differs.
          const refused = yield* failure(Effect.provide(one, as(impostor, "lazy")))
          expect(["Tls", "LoginRefused", "ConnectionLost"]).toContain(refused.reason)
        }))
    })

    describe("over TLS", () => {
      const encrypted = Layer.unwrapEffect(
        Effect.map(
          Tls,
          ({ authority, right }) => database(byName(right), { "ssl-mode": "VERIFY_IDENTITY", "ssl-ca": authority })
        )
      )

      it.scoped("the certificates are read once, not for each connection", () =>
        Effect.gen(function*() {
          const read = yield* Effect.acquireRelease(
            Effect.sync(() => vi.spyOn(tls, "createSecureContext")),
            (spy) => Effect.sync(() => spy.mockRestore())
          )
          const hold = MainDb.use((sql) => sql`SELECT SLEEP(0.1)`)
          yield* Effect.all([hold, hold, hold], { concurrency: 3 })
          expect((yield* MainDb.stats).opened).toBeGreaterThan(1)
          expect(read).toHaveBeenCalledTimes(1)
        }).pipe(Effect.provide(encrypted)))

      it.scoped("an interrupted statement stops on the server, and its connection is used again", () =>
        Effect.gen(function*() {
          const before = yield* connectionId
          const [, took] = yield* timed(failure(Effect.timeout(MainDb.use((sql) => sql`SELECT SLEEP(3)`), 200)))
          expect(took).toBeLessThan(1_300)
          expect(yield* connectionId).toBe(before)
          const sleeping = yield* MainDb.use((sql) =>
            sql`SELECT 1 FROM information_schema.processlist WHERE INFO LIKE ${"%SLEEP(3)%"} AND ID <> CONNECTION_ID()`
          )
          expect(sleeping).toEqual([])
        }).pipe(Effect.provide(encrypted)))

      it.scoped("a stream is read with back-pressure, and ending it early takes no time", () =>
        Effect.gen(function*() {
          const sql = yield* MainDb
          // Some gigabytes.
          const many =
            sql`SELECT REPEAT('x', 500) AS pad FROM information_schema.COLUMNS a, information_schema.COLUMNS b`.stream
          const [count, took] = yield* timed(
            Stream.runCount(many.pipe(Stream.tap(() => Effect.sleep(1)), Stream.take(600)))
          )
          expect(count).toBe(600)
          expect(took).toBeLessThan(5_000)
          expect(yield* one).toHaveLength(1)
          const stats = yield* MainDb.stats
          expect(stats).toMatchObject({ active: 0, opened: 1 })
        }).pipe(Effect.provide(encrypted)))
    })
  })
})
