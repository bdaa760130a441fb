import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { createConnection, type RowDataPacket } from "mysql2/promise"
import { spawn } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { mkdtemp, readlink, rm, stat } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { ConfigurationError } from "../../../src/Errors.ts"
import { type LocalMysql, make } from "../../../src/local/internal/mysql.ts"
import { binaries, installed, type Recipe } from "../../../src/local/internal/servers.ts"
import {
  afterwards,
  everything,
  isAlive,
  nothing,
  ownFolders,
  type Running,
  traces,
  withSettings
} from "../../support/localServers.ts"

const isolated = withSettings({})

const rows = (mysql: LocalMysql, sql: string) =>
  Effect.acquireUseRelease(
    Effect.promise(() => createConnection({ uri: Redacted.value(mysql.url("")) })),
    (connection) => Effect.promise(() => connection.query<Array<RowDataPacket>>(sql)),
    (connection) => Effect.promise(() => connection.end())
  ).pipe(Effect.map(([rows]) => rows))

describe("a private MySQL server", () => {
  it.effect("answers, does not mix with a second one, and is gone with its scope", () =>
    Effect.gen(function*() {
      const [first, second] = yield* Effect.scoped(Effect.gen(function*() {
        const both = yield* Effect.all([make(), make()], { concurrency: "unbounded" })
        yield* both[0].createDatabase("only`here")
        yield* both[0].createDatabase("only`here")
        const [ofFirst, ofSecond] = yield* Effect.forEach(both, (mysql) => rows(mysql, "SHOW DATABASES"))
        expect(ofFirst).toContainEqual({ Database: "only`here" })
        expect(ofSecond).not.toContainEqual({ Database: "only`here" })
        for (const mysql of both) {
          expect(yield* traces(mysql)).toEqual(everything)
          expect(readFileSync(`/proc/${mysql.pid}/cmdline`, "utf8")).toContain(mysql.datadir)
        }
        return both
      }))
      expect(yield* traces(first)).toEqual(nothing)
      expect(yield* traces(second)).toEqual(nothing)
      expect(yield* ownFolders).toEqual([])
    }).pipe(isolated))

  it.scoped("accepts only its own user, who has every privilege", () =>
    Effect.gen(function*() {
      const mysql = yield* make()
      expect(yield* rows(mysql, "SELECT CURRENT_USER() AS me")).toEqual([{ me: "betterai@127.0.0.1" }])
      expect(String(mysql.password)).toBe("<redacted>")
      const folder = yield* Effect.promise(() => stat(join(mysql.datadir ?? "", "..")))
      expect(folder.mode & 0o777).toBe(0o700)
      for (const user of ["root", "", "mariadb.sys", mysql.user]) {
        const refused = yield* Effect.flip(Effect.tryPromise({
          try: () => createConnection({ host: mysql.host, port: mysql.port, user }),
          catch: (error) => (error as NodeJS.ErrnoException).code
        }))
        expect(refused).toMatch(/^ER_(ACCESS_DENIED|HOST_NOT)/)
      }
      const grants = yield* rows(mysql, "SHOW GRANTS")
      // MySQL lists them one by one.
      expect(JSON.stringify(grants)).toMatch(/GRANT (ALL PRIVILEGES|SELECT, .*SUPER, .*) ON \*\.\* .*WITH GRANT OPTION/)
    }).pipe(isolated))

  it.live("leaves nothing behind when its start is interrupted", () =>
    Effect.gen(function*() {
      yield* Effect.forEach([1, 30, 100, 200, 300, 400], (millis) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(make(), Effect.never)))
          yield* Effect.sleep(millis)
          yield* Fiber.interrupt(fiber)
        }))
      expect(yield* ownFolders).toEqual([])
    }).pipe(isolated))
})

const testRecipe: Recipe = {
  name: "test-server",
  user: "nobody",
  deadline: "300 millis",
  files: () => ({}),
  serve: () => ({ command: "sh", args: ["-c", "echo warming up; exec sleep 60"] })
}

const failure = (starting: Effect.Effect<LocalMysql, ConfigurationError, Scope.Scope>) =>
  Effect.flip(Effect.scoped(starting))

describe("a server that does not start", () => {
  it.effect("fails at its deadline, with its last lines, and is stopped", () =>
    Effect.gen(function*() {
      const error = yield* failure(make([Effect.succeed(testRecipe)]))
      expect(error).toMatchObject({ _tag: "ConfigurationError", reason: "LocalServer" })
      expect(error.message).toContain("test-server: did not answer within 300ms: warming up")
      expect(yield* ownFolders).toEqual([])
    }).pipe(isolated))

  it.effect("fails as soon as it ends, with its last lines", () =>
    Effect.gen(function*() {
      const serve = () => ({ command: "sh", args: ["-c", "echo no space left on device >&2; exit 3"] })
      const error = yield* failure(make([Effect.succeed({ ...testRecipe, deadline: "60 seconds", serve })]))
      expect(error.message).toContain("test-server: ended before it answered: no space left on device")
    }).pipe(isolated))

  it.effect("fails if its data directory cannot be made", () =>
    Effect.gen(function*() {
      const initialise = () => ({
        command: "sh",
        args: ["-c", "read -r line; echo \"bad $line\"; exit 1"],
        stdin: "tables\n"
      })
      const error = yield* failure(make([Effect.succeed({ ...testRecipe, initialise })]))
      expect(error.message).toContain("could not make its data directory: bad tables")
      expect(yield* ownFolders).toEqual([])
    }).pipe(isolated))

  it.scoped("is started on another port if another process took the first", () =>
    Effect.gen(function*() {
      const taken = yield* Effect.acquireRelease(
        Effect.async<{ readonly port: number; readonly close: () => void }>((resume) => {
          const server = createServer().listen(0, "127.0.0.1", () => {
            const address = server.address()
            if (typeof address === "object" && address !== null) {
              resume(Effect.succeed({ port: address.port, close: () => server.close() }))
            }
          })
        }),
        ({ close }) => Effect.sync(close)
      )
      const tried: Array<number> = []
      const source = Effect.map(installed(binaries), (recipe): Recipe => ({
        ...recipe,
        serve: (folder, port) => recipe.serve(folder, tried.push(port) === 1 ? taken.port : port)
      }))
      const mysql = yield* make([source])
      expect(tried).toHaveLength(2)
      expect(mysql.port).toBe(tried[1])
      expect(yield* ownFolders).toHaveLength(1)
    }).pipe(isolated))
})

/** Runs `hold.ts` in a session of its own, as a terminal does, and kills it at the end in any case. */
const held = Effect.map(
  Effect.acquireRelease(
    Effect.async<{ readonly running: Running; readonly owner: number }>((resume) => {
      const child = spawn(process.execPath, ["--import", "tsx", fileURLToPath(new URL("hold.ts", import.meta.url))], {
        detached: true,
        env: { ...process.env, LOCAL_MYSQL_URL: undefined },
        stdio: ["ignore", "pipe", "inherit"]
      })
      child.stdout.once(
        "data",
        (line) => resume(Effect.succeed({ running: JSON.parse(String(line)), owner: child.pid ?? 0 }))
      )
      child.once("error", (error) => resume(Effect.die(error)))
    }),
    ({ owner }) => Effect.ignore(Effect.try(() => process.kill(owner, "SIGKILL")))
  ),
  ({ owner, running }) => ({ owner, ...running })
)

/** The shells of the watchdog: the parent of the server and the other children of that parent. */
const watchdogOf = (server: number): ReadonlyArray<number> => {
  const parent = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${server}/status`, "utf8"))?.[1])
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").trim().split(" ").map(Number)
  return [parent, ...children.filter((pid) => pid !== server)]
}

describe("when the process that started it is killed", () => {
  it.live("by SIGINT to its group, SIGTERM or SIGKILL, server and folder are removed", () =>
    Effect.scoped(Effect.forEach(["SIGINT", "SIGTERM", "SIGKILL"] as const, (signal) =>
      Effect.gen(function*() {
        const server = yield* held
        expect(yield* traces(server)).toEqual(everything)
        process.kill(signal === "SIGINT" ? -server.owner : server.owner, signal)
        expect(yield* afterwards(server)).toEqual(nothing)
      }), { concurrency: "unbounded", discard: true })))

  it.live("together with the watchdog, the next start removes server and folder", () =>
    Effect.scoped(Effect.gen(function*() {
      const [crashed, inUse] = yield* Effect.all([held, make()], { concurrency: "unbounded" })
      for (const pid of watchdogOf(crashed.pid ?? 0)) process.kill(pid, "SIGKILL")
      process.kill(crashed.owner, "SIGKILL")
      yield* Effect.repeat(isAlive(crashed.owner), { while: (alive) => alive, schedule: Schedule.spaced("10 millis") })
      expect(yield* traces(crashed)).toEqual(everything)
      yield* Effect.scoped(make())
      expect(yield* traces(crashed)).toEqual(nothing)
      expect(yield* traces(inUse)).toEqual(everything)
    })).pipe(isolated))
})

/** A folder as a crashed run leaves it. The pid of its server now belongs to an innocent process. */
const leftover = (owner: object) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const folder = await mkdtemp(join(tmpdir(), "betterai-mysql-"))
      const innocent = spawn("sleep", ["60"], { stdio: "ignore" })
      mkdirSync(join(folder, "data"))
      writeFileSync(join(folder, "server.pid"), `${innocent.pid}\n`)
      writeFileSync(join(folder, "owner"), JSON.stringify(owner))
      return { pid: innocent.pid, port: 1, datadir: join(folder, "data"), innocent, folder }
    }),
    ({ folder, innocent }) => Effect.promise(() => (innocent.kill(), rm(folder, { recursive: true, force: true })))
  )

describe("what another run left in the temporary folder", () => {
  it.scoped("is removed if its owner has ended; a process that got the server's pid keeps running", () =>
    Effect.gen(function*() {
      const namespace = yield* Effect.promise(() => readlink("/proc/self/ns/pid"))
      const folder = yield* leftover({ pid: process.pid, started: "1", namespace })
      yield* Effect.scoped(make())
      expect(yield* traces(folder)).toEqual({ process: true, port: false, folder: false })
    }).pipe(isolated))

  it.scoped("stays if its owner cannot be identified", () =>
    Effect.gen(function*() {
      const elsewhere = yield* leftover({ pid: 999_999_999, started: "1", namespace: "pid:[1]" })
      const unreadable = yield* leftover([])
      yield* Effect.scoped(make())
      expect(yield* traces(elsewhere)).toMatchObject({ folder: true })
      expect(yield* traces(unreadable)).toMatchObject({ folder: true })
    }).pipe(isolated))
})
