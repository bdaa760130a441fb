/**
 * Servers, proxies and a browser that this machine need not have: Debian's packages, downloaded once into a folder of the
 * user and run from there. Nothing is installed on the machine.
 */
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { existsSync, mkdirSync, readFileSync } from "node:fs"
import { homedir } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { inRealTime, run } from "../../src/local/internal/process.ts"

interface Program {
  readonly title: string
  readonly suite: "bookworm" | "trixie" | "sid"
  readonly package: string
  /** What install.sh makes commands of. The first is asked for its version. */
  readonly commands: readonly [string, ...ReadonlyArray<string>]
  /** Asks for the version; `--version` by default. */
  readonly askVersion?: ReadonlyArray<string>
  readonly version: RegExp
  /** What there is instead where it cannot be had. */
  readonly instead: string
}

const ownDatabase = "start a server yourself, in Docker for example, and set LOCAL_MYSQL_URL"

/** Its servers are Python modules: see `test/support/aws/swiftServer.py`. */
const swift = {
  package: "python3-swift",
  commands: ["python3=usr/bin/python3"],
  askVersion: ["-I", "-c", "import swift; print(swift.__version__)"],
  instead: "run npm test, whose S3 server checks no signature"
} as const

const programs = {
  "mysql-9.7": {
    title: "MySQL 9.7",
    suite: "sid",
    package: "mysql-server-core",
    commands: ["mysqld=usr/sbin/mysqld"],
    version: /Ver 9\.7\./,
    instead: ownDatabase
  },
  "mariadb-11.8": {
    title: "MariaDB 11.8",
    suite: "trixie",
    package: "mariadb-server-core",
    // Both names, as the package has them: neither then leads to another server of this machine.
    commands: ["mariadbd=usr/sbin/mariadbd", "mysqld"],
    version: /Ver 11\.8\.\d+-MariaDB/,
    instead: ownDatabase
  },
  "mysql-router": {
    title: "MySQL Router 9.7",
    suite: "sid",
    package: "mysql-router",
    commands: ["mysqlrouter=usr/bin/mysqlrouter"],
    version: /Ver 9\.7\./,
    instead: ownDatabase
  },
  haproxy: {
    title: "HAProxy 2.6",
    suite: "bookworm",
    package: "haproxy",
    commands: ["haproxy=usr/sbin/haproxy"],
    askVersion: ["-v"],
    version: /version 2\.6\./,
    instead: ownDatabase
  },
  promtool: {
    title: "promtool 2.42",
    suite: "bookworm",
    package: "prometheus",
    commands: ["promtool=usr/bin/promtool"],
    version: /version 2\.42\./,
    instead: "leave its tests out"
  },
  "swift-2.38": { title: "OpenStack Swift 2.38", suite: "sid", version: /^2\.38\./, ...swift },
  "swift-2.35": { title: "OpenStack Swift 2.35", suite: "trixie", version: /^2\.35\./, ...swift },
  moto: {
    title: "moto 5.1",
    suite: "trixie",
    package: "python3-moto",
    commands: ["python3=usr/bin/python3"],
    askVersion: ["-I", "-c", "import moto; print(moto.__version__)"],
    version: /^5\.1\./,
    instead: "run npm test, which has two other servers of SQS"
  },
  // Its version is that of Debian's last point release; the tests are made for none in particular.
  chromium: {
    title: "Chromium",
    suite: "trixie",
    package: "chromium-headless-shell",
    commands: ["chromium=usr/lib/chromium/chromium-headless-shell"],
    version: /^Chromium \d+\./,
    instead: "open the pages in a browser"
  }
} satisfies Record<string, Program>

export type ProgramName = keyof typeof programs

/** The program cannot be had on this machine. */
export class Unavailable extends Data.TaggedError("Unavailable")<{
  readonly program: string
  readonly detail: string
  readonly hint: string
}> {
  override get message(): string {
    return `${this.program} cannot be had: ${this.detail} (${this.hint})`
  }
}

const settings = Config.all({
  cache: Config.string("SERVERS_CACHE").pipe(
    Config.orElse(() =>
      Config.map(Config.string("XDG_CACHE_HOME"), (folder) => join(folder, "betterai-infrastructure"))
    ),
    Config.withDefault(join(homedir(), ".cache", "betterai-infrastructure"))
  ),
  // A variable of a workflow that is not set arrives blank.
  mirror: Config.map(Config.withDefault(Config.string("SERVERS_MIRROR"), ""), (mirror) => mirror.trim() || undefined)
})

/** Where this machine gets its own packages of Debian from, if it is one of Debian. */
const ownMirror = (): string | undefined => {
  const sources = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"]
    .map((file) => existsSync(file) ? readFileSync(file, "utf8") : "")
    .join("\n")
  return /^(?:URIs:|deb)\s+(?:\[.*\]\s+)?(https?:\/\/\S+\/debian)\/?(?:\s|$)/m.exec(sources)?.[1]
}

/** How long one run waits for another that installs the same program, and how long it may take by itself. */
const PATIENCE = 900_000

/**
 * The folder with the commands of a program, downloaded if that was not done before. Several runs may ask at once: one
 * downloads, and the others wait for it.
 */
export const install = (name: ProgramName): Effect.Effect<string, Unavailable | ConfigError> =>
  Effect.gen(function*() {
    const { cache, mirror = ownMirror() } = yield* settings
    const { askVersion = ["--version"], commands, instead, package: source, suite, title, version }: Program =
      programs[name]
    const folder = join(cache, name)
    const unavailable = (
      detail: string,
      hint = `it needs Linux with apt-get, such as Debian or Ubuntu; elsewhere, ${instead}`
    ) => new Unavailable({ program: title, detail, hint })
    if (!existsSync(folder)) {
      for (const needed of ["apt-get", "dpkg-deb", "flock"]) {
        const { code } = yield* run({ command: needed, args: ["--version"] }, PATIENCE)
        if (code !== 0) {
          return yield* unavailable(`it is unpacked from Debian's packages, and there is no ${needed} here`)
        }
      }
      if (mirror === undefined) {
        return yield* unavailable(
          "it is unpacked from Debian's packages, and the sources of this machine name no archive of Debian",
          "name one in SERVERS_MIRROR"
        )
      }
      yield* Effect.log(`Downloading ${title} from Debian's ${suite} into ${folder}`)
      yield* Effect.try({
        try: () => mkdirSync(cache, { recursive: true }),
        catch: (error) => unavailable(String(error), "set SERVERS_CACHE to a folder that this user can write to")
      })
      const script = fileURLToPath(new URL("install.sh", import.meta.url))
      const { code, output } = yield* run({
        command: "flock",
        args: [
          ...["--no-fork", "--timeout", String(PATIENCE / 1_000), `${folder}.lock`],
          ...["/bin/sh", script, folder, suite, mirror, source, ...commands]
        ]
      }, PATIENCE)
      if (code !== 0) {
        return yield* unavailable(
          `the installation failed: ${end(output)}`,
          `check that the archive of Debian can be reached, or name another in SERVERS_MIRROR; or ${instead}`
        )
      }
    }
    const commandsFolder = join(folder, "bin")
    const command = join(commandsFolder, commands[0].split("=")[0]!)
    const found = yield* run({ command, args: askVersion }, "30 seconds")
    if (found.code !== 0) {
      return yield* unavailable(`it does not run: ${end(found.output)}`, `remove ${folder} and try again`)
    }
    if (!version.test(found.output)) {
      return yield* unavailable(
        `Debian's ${suite} has another version: ${end(found.output)}`,
        `change ${fileURLToPath(import.meta.url)}, and remove ${folder}`
      )
    }
    return commandsFolder
  }).pipe(inRealTime)

const end = (output: string): string => output.trim().split(/\s*\n\s*/).slice(-5).join(" | ")

/** What TEST_SERVER may be. `local`: what this machine has, or gets, by itself. */
export const testServers = ["mysql-9.7", "mariadb-11.8", "local"] as const

export type TestServer = typeof testServers[number]

/**
 * Makes the server that TEST_SERVER names the first in the PATH of this process, and of those that it starts. The local
 * stack then finds that server, and no other. Gives its name.
 */
export const useTestServer: Effect.Effect<TestServer, Unavailable | ConfigError> = Effect.gen(function*() {
  const name = yield* Config.literal(...testServers)("TEST_SERVER").pipe(Config.withDefault("local"))
  if (name === "local") return name
  const running = yield* Config.option(Config.nonEmptyString("LOCAL_MYSQL_URL"))
  if (Option.isSome(running)) {
    return yield* new Unavailable({
      program: programs[name].title,
      detail: "TEST_SERVER asks for it, and LOCAL_MYSQL_URL for another server",
      hint: "set only one of them"
    })
  }
  const folder = yield* install(name)
  process.env["PATH"] = `${folder}${delimiter}${process.env["PATH"] ?? ""}`
  return name
})
