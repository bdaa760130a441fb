/** What we borrow from mysql2. When one of these fails after an upgrade, read `src/db/internal/borrowed` first. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Mysql from "mysql2"
import { readFileSync } from "node:fs"
import { Socket } from "node:net"
import {
  execute,
  query as queryCommand,
  type RunningCommand
} from "../../../../src/db/internal/borrowed/mysql2Commands.ts"
import {
  type DriverConnection,
  isAutocommit,
  isInTransaction,
  isWriteHeader,
  serverStatus
} from "../../../../src/db/internal/borrowed/mysql2Connection.ts"
import { skipRows } from "../../../../src/db/internal/borrowed/rowParser.ts"
import { Decoding } from "../../../../src/db/internal/values/columns.ts"
import { server } from "../../../support/db/testServer.ts"

const connection = Effect.acquireRelease(
  Effect.map(
    server,
    ({ host, password, port, user }) =>
      Mysql.createConnection({ host, port, user, password }) as unknown as DriverConnection
  ),
  (open) => Effect.sync(() => open.destroy())
)

const query = (on: DriverConnection, sql: string) =>
  Effect.async<unknown>((resume) => {
    on.query(sql, (error, result) => resume(error === null ? Effect.succeed(result) : Effect.die(error)))
  })

describe("a connection of mysql2", () => {
  it("is pinned to a minor version, because its private members may change with the next", () => {
    const { dependencies } = JSON.parse(readFileSync(new URL("../../../../package.json", import.meta.url), "utf8"))
    expect(dependencies.mysql2).toMatch(/^~\d+\.\d+\.\d+$/)
  })

  it.scopedLive("has its socket in `stream`, with the address that it reached", () =>
    Effect.gen(function*() {
      const on = yield* connection
      yield* query(on, "DO 0")
      expect(on.stream).toBeInstanceOf(Socket)
      expect(on.stream.remoteAddress).toMatch(/127\.0\.0\.1|::1/)
      expect(on.threadId).toBeGreaterThan(0)
    }))

  it.scopedLive("forgets its session in `reset`", () =>
    Effect.gen(function*() {
      const on = yield* connection
      yield* query(on, "SET @left = 1")
      yield* Effect.async<void>((resume) => on.reset((error) => resume(error ? Effect.die(error) : Effect.void)))
      expect(yield* query(on, "SELECT @left AS seen")).toEqual([{ seen: null }])
    }))

  it.scopedLive("tells with the header of a write whether a transaction is open, and autocommit is on", () =>
    Effect.gen(function*() {
      const on = yield* connection
      const flags = (sql: string) =>
        Effect.map(query(on, sql), (header) => {
          const status = serverStatus(header)!
          return [isWriteHeader(header), isInTransaction(status), isAutocommit(status)]
        })
      expect(yield* flags("BEGIN")).toEqual([true, true, true])
      expect(yield* flags("COMMIT")).toEqual([true, false, true])
      expect(yield* flags("SET autocommit = 0")).toEqual([true, false, false])
    }))

  it.scopedLive("gives rows that are not mistaken for a header, whatever their columns are called", () =>
    Effect.gen(function*() {
      const on = yield* connection
      const rows = yield* query(on, "SELECT 1 AS serverStatus, 2 AS affectedRows") as Effect.Effect<
        ReadonlyArray<unknown>
      >
      expect(rows).toEqual([{ serverStatus: 1, affectedRows: 2 }])
      expect([isWriteHeader(rows[0]), serverStatus(rows)]).toEqual([false, undefined])
    }))
})

describe("a streaming command of mysql2", () => {
  const sql = "SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3"
  const decoding = new Decoding({ bigint: "number", dates: "date", timezone: "+00:00" })
  const options = { sql, values: [], rowsAsArray: false }
  const ways: ReadonlyArray<readonly [string, (on: DriverConnection) => RunningCommand]> = [
    ["query", (on) => queryCommand(on, options, decoding)],
    ["execute", (on) => execute(on, options, decoding, undefined)]
  ]
  for (const [name, start] of ways) {
    it.scopedLive(`of ${name} stops parsing rows from skipRows on, and the connection can be used again`, () =>
      Effect.gen(function*() {
        const on = yield* connection
        const seen = yield* Effect.async<ReadonlyArray<unknown>>((resume) => {
          const rows: Array<unknown> = []
          const command = start(on)
          command.on("result", (row) => {
            rows.push(row)
            skipRows(command)
          })
          command.on("error", (error) => resume(Effect.die(error)))
          command.on("end", () => resume(Effect.succeed(rows)))
        })
        expect(seen).toEqual([{ n: 1 }, undefined, undefined])
        expect(yield* query(on, "SELECT 4 AS n")).toEqual([{ n: 4 }])
      }))
  }
})
