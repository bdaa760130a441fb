/** The ways to get a MySQL server on this machine, and how each server is initialised and run. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { ConfigurationProblem } from "../../Errors.ts"
import * as Deadlines from "./deadlines.ts"
import { type Command, run } from "./process.ts"

/** The one user of a new server: it has every privilege, and a password made for this server. */
export interface Account {
  readonly user: string
  readonly password: string
}

/** How to run one kind of server in a private folder. */
export interface Recipe {
  readonly name: string
  /** The name of the user. Not every kind of server lets us choose it. */
  readonly user: string
  /** How long it may take to make its data directory, and again until it answers. A bare number is milliseconds. */
  readonly deadline: Duration.DurationInput
  /** Files that must be in the folder first. */
  readonly files: (account: Account) => Readonly<Record<string, string>>
  /** The command that makes the data directory. `stdin` is its standard input. */
  readonly initialise?: ((folder: string) => Command & { readonly stdin: string }) | undefined
  readonly serve: (folder: string, port: number) => Command
}

/** One way to get a server: a recipe, or why this way does not work here. */
export type Source = Effect.Effect<Recipe, ConfigurationProblem>

/**
 * The commands of the server, and where packages for Linux and macOS put them. On Debian, MariaDB's package brings a
 * `mysqld` too.
 */
export const binaries: ReadonlyArray<string> = [
  "mysqld",
  "mariadbd",
  ...["/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/usr/local/bin", "/usr/local/mysql/bin", "/opt/homebrew/bin"]
    .flatMap((folder) => [`${folder}/mysqld`, `${folder}/mariadbd`])
]

const isRoot = process.getuid?.() === 0

/**
 * The server binary to run: one of the names that are in the PATH, or else one of the files. Among several, MySQL is
 * preferred to MariaDB, because it is what production runs.
 */
export const installed = (candidates: ReadonlyArray<string>): Source =>
  Effect.firstSuccessOf([
    preferred(candidates.filter((name) => !name.includes("/"))),
    preferred(candidates.filter((name) => name.includes("/")))
  ]).pipe(
    Effect.mapError(() => ({
      setting: "mysqld",
      detail: "is not installed, and neither is mariadbd",
      hint: "install MySQL, or MariaDB (apt-get install mariadb-server-core, brew install mysql)"
    }))
  )

const preferred = Effect.fnUntraced(function*(candidates: ReadonlyArray<string>) {
  const others: Array<string> = []
  for (const binary of candidates) {
    const version = yield* run({ command: binary, args: ["--no-defaults", "--version"] }, Deadlines.COMMAND)
    if (version.code !== 0) continue
    if (!version.output.includes("MariaDB")) return mysql(binary)
    others.push(binary)
  }
  return yield* Effect.firstSuccessOf([...others.map(mariadbOf), Effect.fail("there is none")])
})

const mariadbOf = Effect.fnUntraced(function*(binary: string) {
  const help = yield* run({ command: binary, args: ["--no-defaults", "--verbose", "--help"] }, Deadlines.COMMAND)
  const charsets = /^character-sets-dir\s+(\/.+?)\s*$/m.exec(help.output)?.[1]
  if (charsets === undefined) return yield* Effect.fail("does not say where its files are")
  const share = dirname(charsets.replace(/\/+$/, ""))
  const tables = yield* Effect.firstSuccessOf(
    ["mariadb_system_tables.sql", "mysql_system_tables.sql"].map((name) =>
      Effect.tryPromise(() => readFile(join(share, name), "utf8"))
    )
  )
  return mariadb(binary, tables)
})

/** Options of every start on a data directory. They give up durability where that makes the server faster. */
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

const recipe = (
  binary: string,
  initialise: Recipe["initialise"],
  options: ReadonlyArray<string> = []
): Recipe => ({
  name: binary,
  user: "betterai",
  deadline: Deadlines.SERVER_START,
  files: ({ password, user }) => ({
    // The server reads one statement per line. We made name and password: nothing in them needs escaping.
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
      ...options,
      "--bind-address=127.0.0.1",
      `--port=${port}`,
      // Relative to the data directory: the path of a socket is limited to about 100 characters.
      "--socket=mysql.sock",
      `--init-file=${join(folder, "init.sql")}`
    ]
  })
})

// What mariadb-install-db does, without its help texts and its accounts without a password.
const mariadb = (binary: string, systemTables: string): Recipe =>
  recipe(binary, (folder) => ({
    command: binary,
    args: [...storage(folder), "--bootstrap"],
    stdin: `CREATE DATABASE mysql;\nUSE mysql;\n${systemTables}`
  }))

const mysql = (binary: string): Recipe =>
  recipe(
    binary,
    (folder) => ({ command: binary, args: [...storage(folder), "--initialize-insecure"], stdin: "" }),
    // Without it, the server refuses to start where the folder for files that its package names is missing.
    ["--secure-file-priv=NULL"]
  )

/**
 * Installs MariaDB's server (no service, no configuration) on Debian or Ubuntu. If several processes need it at the
 * same time, one installs it and the others wait.
 */
export const apt = (candidates: ReadonlyArray<string>): Source =>
  Effect.gen(function*() {
    if (!isRoot) {
      return yield* Effect.fail({ setting: "apt-get", detail: "is not used, because this process is not root" })
    }
    const available = yield* run({ command: "apt-get", args: ["--version"] }, Deadlines.COMMAND)
    if (available.code !== 0) {
      return yield* Effect.fail({ setting: "apt-get", detail: "is not on this machine" })
    }
    yield* Effect.log(
      "No MySQL server was found on this machine: installing mariadb-server-core with apt-get"
    )
    const { code, output } = yield* run({
      command: "flock",
      args: ["--no-fork", "--timeout", lockTimeout, "/var/lib/dpkg", "/bin/sh", "-c", aptInstall, "apt", ...candidates]
    }, Deadlines.INSTALL)
    if (code !== 0) {
      return yield* Effect.fail({
        setting: "apt-get",
        detail: `could not install mariadb-server-core: ${lastLines(output)}`
      })
    }
    return yield* installed(candidates)
  })

const lockTimeout = String(Deadlines.INSTALL_BY_ANOTHER / 1000)
const aptGet = `apt-get -o DPkg::Lock::Timeout=${Deadlines.PACKAGE_LOCK / 1000}`

const aptInstall = `
for binary in "$@"; do if command -v "$binary" >/dev/null; then exit 0; fi; done
export DEBIAN_FRONTEND=noninteractive
${aptGet} update
exec ${aptGet} install -y --no-install-recommends mariadb-server-core
`

/** A container of the engine behind the `docker` command. */
export const docker: Source = Effect.gen(function*() {
  const info = yield* run({ command: "docker", args: ["info", "--format", "{{.ServerVersion}}"] }, Deadlines.COMMAND)
  if (info.code !== 0) {
    return yield* Effect.fail({ setting: "docker", detail: `has no running engine here: ${lastLines(info.output)}` })
  }
  return {
    name: "mariadb:11 in Docker",
    user: "root",
    deadline: Deadlines.CONTAINER_START,
    files: ({ password }) => ({ "docker.env": `MARIADB_ROOT_PASSWORD=${password}\n` }),
    // In the foreground: the client passes the watchdog's SIGTERM on to the container.
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

/** The end of a command's output on one line, for the details of errors. */
export const lastLines = (output: string): string => output.trim().split(/\s*\n\s*/).slice(-8).join(" | ")
