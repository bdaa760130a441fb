/** Requests with a session: against the bare router, and against a transaction written by hand. */
import { BloodDb, GarminDb, MainDb, UfcDb } from "@betterai/infrastructure/db/Database"
import * as HttpSession from "@betterai/infrastructure/db/HttpSession"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { createPool } from "mysql2/promise"
import { type ChildProcess, fork } from "node:child_process"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { compare, type Contender } from "./harness.ts"

const SOCKETS = 20
const ok = HttpServerResponse.text("ok")

type Databases = MainDb | GarminDb | BloodDb | UfcDb

export const run = async (url: string): Promise<void> => {
  const client = fork(fileURLToPath(new URL("./httpClient.ts", import.meta.url)))
  const raw = createPool({ uri: url, connectionLimit: SOCKETS })
  await raw.query("CREATE TABLE IF NOT EXISTS bench_http (id INT PRIMARY KEY, hits INT)")
  await raw.query("REPLACE INTO bench_http VALUES (1, 0)")

  const statement = MainDb.use((sql) => sql`SELECT hits FROM bench_http WHERE id = ${1}`)
  const byHand = Effect.promise(async () => {
    const connection = await raw.getConnection()
    try {
      await connection.query("BEGIN")
      await connection.execute("SELECT hits FROM bench_http WHERE id = ?", [1])
      await connection.query("COMMIT")
    } finally {
      connection.release()
    }
  })
  const nothing = router(Effect.succeed(ok))
  const one = router(Effect.as(statement, ok))
  const session = HttpSession.make(MainDb)
  const apps = {
    bare: nothing,
    unused: nothing.pipe(HttpRouter.use(session)),
    four: nothing.pipe(HttpRouter.use(HttpSession.make(MainDb, GarminDb, BloodDb, UfcDb))),
    byHand: router(Effect.as(byHand, ok)),
    ours: one.pipe(HttpRouter.use(session)),
    transaction: router(Effect.as(MainDb.withTransaction(statement), ok))
  }
  const servers = await Promise.all(Object.values(apps).map((app) => serve(app, url)))
  const names = Object.keys(apps)
  const contender = (name: string, app: keyof typeof apps): Contender => ({
    name,
    run: (count) => ask(client, servers[names.indexOf(app)]!.port, count)
  })

  await compare({
    work: `a request without a statement, ${SOCKETS} connections`,
    count: 1_000,
    rounds: 100,
    contenders: [
      contender("bare router", "bare"),
      contender("with a session", "unused"),
      contender("with a session over four", "four")
    ]
  })
  await compare({
    work: `a request with one statement, ${SOCKETS} connections`,
    count: 2_000,
    contenders: [
      contender("mysql2 BEGIN … COMMIT", "byHand"),
      contender("with a session", "ours"),
      contender("withTransaction in the handler", "transaction")
    ]
  })

  await Promise.all(servers.map(({ stop }) => stop()))
  await raw.end()
  client.disconnect()
}

const router = <E, R>(handler: HttpApp.Default<E, R>) => HttpRouter.empty.pipe(HttpRouter.get("/", handler))

const serve = async <E>(app: HttpApp.Default<E, Databases>, url: string) => {
  // Longer than the other contenders take.
  const server = createServer({ keepAliveTimeout: 120_000 })
  const settings = new Map(["MAIN_DB", "GARMIN_DB", "BLOOD_DB", "UFC_DB"].flatMap((prefix) => [
    [`${prefix}_URL`, url] as const,
    [`${prefix}_STARTUP`, "lazy"] as const,
    [`${prefix}_POOL_SIZE`, String(SOCKETS)] as const
  ]))
  const runtime = ManagedRuntime.make(
    HttpServer.serve(app).pipe(
      Layer.provide(NodeHttpServer.layer(() => server, { port: 0 })),
      Layer.provide([MainDb.layer, GarminDb.layer, BloodDb.layer, UfcDb.layer]),
      Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(settings)))
    )
  )
  await runtime.runPromise(Effect.void)
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => {
      server.closeAllConnections()
      return runtime.dispose()
    }
  }
}

const ask = (client: ChildProcess, port: number, count: number): Promise<void> =>
  new Promise((resolve) => {
    client.once("message", () => resolve())
    client.send({ port, path: "/", count, sockets: SOCKETS })
  })
