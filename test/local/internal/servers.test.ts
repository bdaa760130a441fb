import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { make } from "../../../src/local/internal/mysql.ts"
import { apt, docker, installed } from "../../../src/local/internal/servers.ts"
import { ownFolders, withSettings } from "../../support/localServers.ts"

/** A folder at the front of PATH, for programs that stand in for those of this machine. */
const programs = Effect.acquireRelease(
  Effect.promise(async () => {
    const folder = await mkdtemp(join(tmpdir(), "programs-"))
    const path = process.env["PATH"]
    process.env["PATH"] = `${folder}:${path}`
    return {
      folder,
      add: (name: string, script: string) =>
        writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 }),
      remove: async () => {
        process.env["PATH"] = path
        await rm(folder, { recursive: true })
      }
    }
  }),
  ({ remove }) => Effect.promise(remove)
)

const mysqld = "echo 'mysqld  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)'"

describe("a server binary", () => {
  it.scoped("of MySQL is initialised without a password, and runs in the folder only", () =>
    Effect.gen(function*() {
      const { add, folder } = yield* programs
      add("mysqld-of-test", mysqld)
      const recipe = yield* installed(["not-on-this-machine", join(folder, "mysqld-of-test")])
      expect(recipe.initialise?.("/f").args).toEqual(
        expect.arrayContaining(["--datadir=/f/data", "--initialize-insecure"])
      )
      expect(recipe.serve("/f", 3310).args).toEqual(
        expect.arrayContaining([
          "--datadir=/f/data",
          "--port=3310",
          "--bind-address=127.0.0.1",
          "--init-file=/f/init.sql"
        ])
      )
    }))

  it.scoped("of MariaDB is initialised from its own table definitions", () =>
    Effect.gen(function*() {
      const { add, folder } = yield* programs
      mkdirSync(join(folder, "share/charsets"), { recursive: true })
      writeFileSync(join(folder, "share/mariadb_system_tables.sql"), "CREATE TABLE of_the_server;\n")
      add("mariadbd", `echo 'mariadbd  Ver 11.8.2-MariaDB'; echo 'character-sets-dir      ${folder}/share/charsets/'`)
      const recipe = yield* installed(["mariadbd"])
      expect(recipe.initialise?.("/f")).toMatchObject({
        args: expect.arrayContaining(["--bootstrap"]),
        stdin: "CREATE DATABASE mysql;\nUSE mysql;\nCREATE TABLE of_the_server;\n"
      })
    }))

  it.scoped("of MySQL is preferred to one of MariaDB, whatever their names; a name in the PATH to a file elsewhere", () =>
    Effect.gen(function*() {
      const { add, folder } = yield* programs
      mkdirSync(join(folder, "share/charsets"), { recursive: true })
      writeFileSync(join(folder, "share/mysql_system_tables.sql"), "")
      const mariadb = `echo 'Ver 10.11.9-MariaDB'; echo 'character-sets-dir      ${folder}/share/charsets/'`
      add("mysqld-of-mariadb", mariadb)
      add("mysqld-of-test", mysqld)
      const mysqlFile = join(folder, "mysqld-of-test")
      const chosen = yield* Effect.forEach([
        ["mysqld-of-mariadb", "mysqld-of-test"],
        [join(folder, "mysqld-of-mariadb"), mysqlFile],
        ["mysqld-of-mariadb", mysqlFile],
        ["mysqld-of-mariadb"]
      ], (candidates) => Effect.map(installed(candidates), ({ name }) => name))
      expect(chosen).toEqual(["mysqld-of-test", mysqlFile, "mysqld-of-mariadb", "mysqld-of-mariadb"])
    }))

  it.scoped("that does not run, or whose files are missing, is not used", () =>
    Effect.gen(function*() {
      const { add } = yield* programs
      add("broken", "exit 1")
      add("lost", "echo 'mariadbd  Ver 11.8.2-MariaDB'; echo 'character-sets-dir      /nowhere/charsets/'")
      const problem = yield* Effect.flip(installed(["broken", "lost"]))
      expect(problem).toEqual({
        setting: "mysqld",
        detail: "is not installed, and neither is mariadbd",
        hint: expect.stringContaining("apt-get install mariadb-server-core")
      })
    }))
})

// It runs for root only, and locks the folder of Debian's package manager.
describe.runIf(process.getuid?.() === 0 && existsSync("/var/lib/dpkg"))("apt-get", () => {
  const aptGet = (folder: string, install: string) => `
if [ "$1" = --version ]; then exit 0; fi
echo "$@" >>"${folder}/calls"
case "$*" in *install*) ${install};; esac`

  it.scoped("installs once, and logs it, when two processes need it at the same time", () =>
    Effect.gen(function*() {
      const { add, folder } = yield* programs
      const said: Array<unknown> = []
      add("made-by-apt", mysqld)
      add("apt-get", aptGet(folder, `sleep 0.3; cp "${folder}/made-by-apt" "${folder}/mysqld-of-test"`))
      const source = apt(["mysqld-of-test"])
      const recipes = yield* Effect.all([source, source], { concurrency: "unbounded" }).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, Logger.make(({ message }) => said.push(message))))
      )
      expect(recipes.map(({ name }) => name)).toEqual(["mysqld-of-test", "mysqld-of-test"])
      expect(readFileSync(join(folder, "calls"), "utf8").trim().split("\n")).toEqual([
        "-o DPkg::Lock::Timeout=120 update",
        "-o DPkg::Lock::Timeout=120 install -y --no-install-recommends mariadb-server-core"
      ])
      expect(String(said[0])).toContain("installing mariadb-server-core with apt-get")
    }))

  it.scoped("is quoted when it fails", () =>
    Effect.gen(function*() {
      const { add, folder } = yield* programs
      add("apt-get", aptGet(folder, "echo 'E: Unable to locate package mariadb-server-core' >&2; exit 100"))
      const problem = yield* Effect.flip(apt(["mysqld-of-test"]))
      expect(problem.detail).toContain("E: Unable to locate package mariadb-server-core")
    }))
})

describe("Docker", () => {
  it.scoped("runs a container that is removed with its client, and has no password in its arguments", () =>
    Effect.gen(function*() {
      const { add } = yield* programs
      add("docker", "echo 28.0.0")
      const recipe = yield* docker
      const files = recipe.files({ user: recipe.user, password: "secret" })
      const args = recipe.serve("/f", 3310).args
      expect(files).toEqual({ "docker.env": "MARIADB_ROOT_PASSWORD=secret\n" })
      expect(args).toEqual(expect.arrayContaining(["--rm", "--cidfile=/f/container", "--publish=127.0.0.1:3310:3306"]))
      expect(args.join(" ")).not.toContain("secret")
    }))

  it.scopedLive("removes the container when the start is interrupted", () =>
    Effect.gen(function*() {
      const { add, folder } = yield* programs
      writeFileSync(join(folder, "calls"), "")
      add(
        "docker",
        `
echo "$1 $2 $3" >>"${folder}/calls"
case "$1" in
  info) echo 28.0.0;;
  run) for option in "$@"; do case "$option" in --cidfile=*) echo c0ffee >"\${option#--cidfile=}";; esac; done
    echo running >>"${folder}/calls"; exec sleep 60;;
esac`
      )
      const started = Effect.sync(() => readFileSync(join(folder, "calls"), "utf8")).pipe(
        Effect.repeat({ until: (calls) => calls.includes("running"), schedule: Schedule.spaced("20 millis") })
      )
      yield* Effect.race(Effect.scoped(make([docker])), started)
      expect(readFileSync(join(folder, "calls"), "utf8")).toContain("rm --force c0ffee")
      expect(yield* ownFolders).toEqual([])
    }).pipe(withSettings({})))

  it.scoped("is reported as without an engine when none is running", () =>
    Effect.gen(function*() {
      const { add } = yield* programs
      add("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
      expect(yield* Effect.flip(docker)).toEqual({
        setting: "docker",
        detail: "has no running engine here: Cannot connect to the Docker daemon"
      })
    }))
})

describe("if no server is found", () => {
  it.scoped("one error lists every way to get a server", () =>
    Effect.gen(function*() {
      const { add } = yield* programs
      add("apt-get", "exit 127")
      add("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
      const none = ["not-on-this-machine"]
      const error = yield* Effect.flip(make([installed(none), apt(none), docker]))
      expect(error).toMatchObject({ _tag: "ConfigurationError", service: "LocalStack", reason: "LocalServer" })
      expect(error.problems.map(({ setting }) => setting)).toEqual([
        "LOCAL_MYSQL_URL",
        "mysqld",
        "apt-get",
        "docker"
      ])
      expect(error.problems[0]).toEqual({
        setting: "LOCAL_MYSQL_URL",
        detail: "is not set",
        hint: "give the URL of a running MySQL server, or fix one of the following"
      })
      expect(error.message).toContain("give the URL of a running MySQL server")
      expect(yield* ownFolders).toEqual([])
    }).pipe(withSettings({})))
})
