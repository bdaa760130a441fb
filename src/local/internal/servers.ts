/** The ways to get a MySQL server on this machine, and how each is initialised and run. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { Problem } from "../../internal/settings.ts"
import { type Command, run } from "./process.ts"

/** The user whom the server is made to know: every privilege, and a password of its own. */
export interface Account {
  readonly user: string
  readonly password: string
}

/** How to run one kind of server in a private folder. */
export interface Recipe {
  readonly name: string
  /** The name of the user: not every kind of server lets it be chosen. */
  readonly user: string
  /** How long it may take until it answers. */
  readonly deadline: Duration.DurationInput
  /** Files to be put into the folder first. */
  readonly files: (account: Account) => Readonly<Record<string, string>>
  /** Makes the data directory; `stdin` is its standard input. */
  readonly initialise?: ((folder: string) => Command & { readonly stdin: string }) | undefined
  readonly serve: (folder: string, port: number) => Command
}

/** One way to get a server: a recipe, or why this way is closed. */
export type Source = Effect.Effect<Recipe, Problem>

/** Where packages of Linux and macOS put the server. */
export const binaries: ReadonlyArray<string> = [
  "mariadbd",
  "mysqld",
  ...["/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/usr/local/bin", "/usr/local/mysql/bin", "/opt/homebrew/bin"]
    .flatMap((folder) => [`${folder}/mariadbd`, `${folder}/mysqld`])
]

const isRoot = process.getuid?.() === 0

/** A server binary, the first of these that runs. */
export const installed = (candidates: ReadonlyArray<string>): Source =>
  Effect.firstSuccessOf(candidates.map(recipeOf)).pipe(
    Effect.mapError(() => ({
      setting: "mariadbd",
      detail: "is not installed; install MariaDB (apt-get install mariadb-server-core, brew install mariadb) or MySQL"
    }))
  )

const recipeOf = Effect.fnUntraced(function*(binary: string) {
  const version = yield* run({ command: binary, args: ["--no-defaults", "--version"] }, "10 seconds")
  if (version.code !== 0) return yield* Effect.fail("cannot be run")
  if (!version.output.includes("MariaDB")) return mysql(binary)
  const help = yield* run({ command: binary, args: ["--no-defaults", "--verbose", "--help"] }, "10 seconds")
  const charsets = /^character-sets-dir\s+(\/.+?)\s*$/m.exec(help.output)?.[1]
  if (charsets === undefined) return yield* Effect.fail("does not tell where its files are")
  const share = dirname(charsets.replace(/\/+$/, ""))
  const tables = yield* Effect.firstSuccessOf(
    ["mariadb_system_tables.sql", "mysql_system_tables.sql"].map((name) =>
      Effect.tryPromise(() => readFile(join(share, name), "utf8"))
    )
  )
  return mariadb(binary, tables)
})

/** The same for every start on a data directory. Durability is given up where that makes the server faster. */
const storage = (folder: string): ReadonlyArray<string> => [
  "--no-defaults",
  `--datadir=${join(folder, "data")}`,
  `--tmpdir=${folder}`,
  ...(isRoot ? ["--user=root"] : []),
  "--skip-log-bin",
  "--innodb-buffer-pool-size=64M",
  "--loose-innodb-log-file-size=32M",
  "--innodb-doublewrite=0",
  "--innodb-flush-log-at-trx-commit=2"
]

const server = [
  "--max-connections=500",
  "--skip-name-resolve",
  "--performance-schema=OFF",
  "--character-set-server=utf8mb4",
  "--loose-mysqlx=OFF"
]

const recipe = (binary: string, initialise: Recipe["initialise"]): Recipe => ({
  name: binary,
  user: "betterai",
  deadline: "60 seconds",
  files: ({ password, user }) => ({
    // The server reads one statement per line. Name and password are our own: nothing in them needs escaping.
    "init.sql": [
      `CREATE USER '${user}'@'127.0.0.1' IDENTIFIED BY '${password}';`,
      `GRANT ALL PRIVILEGES ON *.* TO '${user}'@'127.0.0.1' WITH GRANT OPTION;`,
      ""
    ].join("\n")
  }),
  initialise,
  serve: (folder, port) => ({
    command: binary,
    args: [
      ...storage(folder),
      ...server,
      "--bind-address=127.0.0.1",
      `--port=${port}`,
      // relative to the data directory: the path of a socket may have about a hundred characters
      "--socket=mysql.sock",
      `--init-file=${join(folder, "init.sql")}`
    ]
  })
})

// The shipped tables without the shipped users: what mariadb-install-db does, less help texts and passwordless accounts.
const mariadb = (binary: string, systemTables: string): Recipe =>
  recipe(binary, (folder) => ({
    command: binary,
    args: [...storage(folder), "--bootstrap"],
    stdin: `CREATE DATABASE mysql;\nUSE mysql;\n${systemTables}`
  }))

const mysql = (binary: string): Recipe =>
  recipe(binary, (folder) => ({
    command: binary,
    args: [...storage(folder), "--initialize-insecure"],
    stdin: ""
  }))

/**
 * Installs MariaDB's server (no service, no configuration) on Debian or Ubuntu. Of several processes that want it at
 * once, one installs and the others wait for it.
 */
export const apt = (candidates: ReadonlyArray<string>): Source =>
  Effect.gen(function*() {
    if (!isRoot) return yield* Effect.fail({ setting: "apt-get", detail: "is not used, as this process is not root" })
    const available = yield* run({ command: "apt-get", args: ["--version"] }, "10 seconds")
    if (available.code !== 0) return yield* Effect.fail({ setting: "apt-get", detail: "is not on this machine" })
    yield* Effect.log("No MySQL server is on this machine: installing mariadb-server-core with apt-get, this once")
    const { code, output } = yield* run({
      command: "flock",
      args: ["--no-fork", "--timeout", "300", "/var/lib/dpkg", "/bin/sh", "-c", aptInstall, "apt", ...candidates]
    }, "10 minutes")
    if (code !== 0) {
      return yield* Effect.fail({
        setting: "apt-get",
        detail: `could not install mariadb-server-core: ${lastLines(output)}`
      })
    }
    return yield* installed(candidates)
  })

const aptInstall = `
for binary in "$@"; do if command -v "$binary" >/dev/null; then exit 0; fi; done
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=120 update
exec apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends mariadb-server-core
`

/** A container of the engine that `docker` talks to. */
export const docker: Source = Effect.gen(function*() {
  const info = yield* run({ command: "docker", args: ["info", "--format", "{{.ServerVersion}}"] }, "10 seconds")
  if (info.code !== 0) {
    return yield* Effect.fail({ setting: "docker", detail: `has no running engine here: ${lastLines(info.output)}` })
  }
  return {
    name: "mariadb:11 in Docker",
    user: "root",
    deadline: "5 minutes",
    files: ({ password }) => ({ "docker.env": `MARIADB_ROOT_PASSWORD=${password}\n` }),
    // in the foreground: the client hands the watchdog's SIGTERM on to the container
    serve: (folder, port) => ({
      command: "docker",
      args: [
        "run",
        "--rm",
        `--cidfile=${join(folder, "container")}`,
        `--env-file=${join(folder, "docker.env")}`,
        `--publish=127.0.0.1:${port}:3306`,
        "--tmpfs=/var/lib/mysql",
        "mariadb:11",
        ...server
      ]
    })
  }
})

/** For the details of errors. */
export const lastLines = (output: string): string => output.trim().split(/\s*\n\s*/).slice(-8).join(" | ")
