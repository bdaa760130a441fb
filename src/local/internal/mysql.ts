/** A private MySQL server for as long as a scope lasts, or the one that LOCAL_MYSQL_URL names. */
import * as Config from "effect/Config"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { createConnection, type RowDataPacket } from "mysql2/promise"
import { randomBytes } from "node:crypto"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { join } from "node:path"
import type { ConfigurationError } from "../../Errors.ts"
import * as Settings from "../../internal/settings.ts"
import * as Deadlines from "./deadlines.ts"
import { localServerError } from "./errors.ts"
import { makeFolder, sweep } from "./folder.ts"
import { inRealTime, watch } from "./process.ts"
import { apt, binaries, docker, installed, lastLines, type Recipe, type Source } from "./servers.ts"

export interface LocalMysql {
  /** What runs there. */
  readonly server: ServerVersion
  readonly host: string
  readonly port: number
  /** Has every privilege. */
  readonly user: string
  readonly password: Redacted.Redacted
  /** `mysql://user:password@host:port/database`, for that database. */
  readonly url: (database: string) => Redacted.Redacted
  /** Makes an empty database (utf8mb4) unless there is one of that name. */
  readonly createDatabase: (name: string) => Effect.Effect<void, ConfigurationError>
  /** Process and data of a server that was started here, gone with the scope. Undefined with LOCAL_MYSQL_URL. */
  readonly pid: number | undefined
  readonly datadir: string | undefined
}

/** Which database server it is. */
export interface ServerVersion {
  readonly kind: "MySQL" | "MariaDB"
  /** As the server itself gives it, such as "9.7.4" or "10.11.19-MariaDB-0+deb12u1". */
  readonly version: string
}

const defaultSources: ReadonlyArray<Source> = [installed(binaries), apt(binaries), docker]

/**
 * The server of LOCAL_MYSQL_URL if that is set. Otherwise a new server from the first source that has one, on a free
 * port of the loopback device and in a temporary folder: ready when this returns, gone when the scope is closed or the
 * process has ended, even by SIGKILL.
 */
export const make = (
  sources: ReadonlyArray<Source> = defaultSources
): Effect.Effect<LocalMysql, ConfigurationError, Scope.Scope> =>
  Effect.gen(function*() {
    const url = yield* Settings.load("LocalStack", runningServer)
    if (Option.isSome(url)) return yield* connectTo(url.value)
    yield* sweep
    const recipe = yield* Effect.validateFirst(sources, identity).pipe(
      Effect.mapError((problems) =>
        localServerError([
          {
            setting: "LOCAL_MYSQL_URL",
            detail: "is not set",
            hint: "give the URL of a running MySQL server, or fix one of the following"
          },
          ...problems
        ])
      )
    )
    return yield* start(recipe)
  }).pipe(inRealTime)

const unset = Redacted.make("")

const runningServer: Config.Config<Option.Option<URL>> = Settings.checked(
  "LOCAL_MYSQL_URL",
  Config.withDefault(Config.redacted("LOCAL_MYSQL_URL"), unset),
  (value) => {
    const text = Redacted.value(value).trim()
    if (text === "") return Either.right(Option.none())
    const url = URL.canParse(text) ? new URL(text) : undefined
    const isUsable = url !== undefined && /^(mysql|mariadb)(\+\w+)?:$/.test(url.protocol) && url.hostname !== ""
      && Either.isRight(Either.try(() => decodeURIComponent(url.username + url.password)))
    return isUsable
      ? Either.right(Option.some(url))
      : Either.left([{ detail: "must be a URL of the form mysql://user:password@host:port" }])
  }
)

const connectTo = Effect.fnUntraced(function*(url: URL) {
  const server = describe(url)
  const version = yield* server.version.pipe(
    Effect.mapError((reason) =>
      localServerError([{
        setting: "LOCAL_MYSQL_URL",
        detail: `this server cannot be used: ${reason}`,
        hint: "check that it is running, and that host, port, user and password are right"
      }])
    )
  )
  return server.mysql({ server: version, pid: undefined, datadir: undefined })
})

/** Another process took the port after we chose it and before the server listened on it. */
class PortTaken extends Data.TaggedError("PortTaken")<{ readonly port: number }> {}

const start = (recipe: Recipe) =>
  ownScope(startOnce(recipe)).pipe(
    Effect.retry({ while: (error) => error._tag === "PortTaken", times: 5 }),
    Effect.catchTag("PortTaken", ({ port }) =>
      Effect.fail(failed(recipe, `found no free port (the last one tried was ${port})`)))
  )

/** Releases what a failed attempt acquired before the next attempt begins. */
const ownScope = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const value = yield* restore(Scope.extend(effect, scope)).pipe(
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
      yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
      return value
    })
  )

const startOnce = Effect.fnUntraced(function*(recipe: Recipe) {
  const folder = yield* makeFolder
  const datadir = join(folder, "data")
  const account = { user: recipe.user, password: randomBytes(24).toString("base64url") }
  const files = { stdin: "", ...recipe.files(account) }
  yield* io(recipe, async () => {
    await mkdir(datadir)
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  })
  if (recipe.initialise !== undefined) {
    const { stdin, ...command } = recipe.initialise(folder)
    yield* io(recipe, () => writeFile(join(folder, "stdin"), stdin))
    const { code, output } = yield* watch(folder, command).pipe(
      Effect.flatMap(({ ended }) => ended),
      Effect.timeoutFail({
        duration: recipe.deadline,
        onTimeout: () => failed(recipe, `could not make its data directory within ${Duration.format(recipe.deadline)}`)
      }),
      Effect.scoped
    )
    if (code !== 0) return yield* failed(recipe, `could not make its data directory: ${lastLines(output)}`)
  }
  const port = yield* io(recipe, freePort)
  const server = describe(new URL(`mysql://${account.user}:${account.password}@127.0.0.1:${port}`))
  const watched = yield* watch(folder, recipe.serve(folder, port))
  const ended = Effect.flatMap(watched.ended, ({ output }) =>
    Effect.fail(
      /address already in use|port is already allocated/i.test(output)
        ? new PortTaken({ port })
        : failed(recipe, `ended before it answered: ${lastLines(output)}`)
    ))
  const version = yield* server.version.pipe(
    Effect.delay(Deadlines.PING_PAUSE),
    Effect.eventually,
    Effect.timeoutOption(recipe.deadline),
    Effect.flatMap(Option.match({
      onSome: Effect.succeed,
      onNone: () =>
        Effect.flatMap(
          watched.output,
          (output) =>
            Effect.fail(
              failed(recipe, `did not answer within ${Duration.format(recipe.deadline)}: ${lastLines(output)}`)
            )
        )
    })),
    Effect.raceFirst(ended)
  )
  const pid = Number(yield* io(recipe, () => readFile(join(folder, "server.pid"), "utf8")))
  return server.mysql({ server: version, pid, datadir })
})

const failed = (recipe: Recipe, detail: string) => localServerError([{ setting: recipe.name, detail }])

const io = <A>(recipe: Recipe, evaluate: () => Promise<A>) =>
  Effect.tryPromise({ try: evaluate, catch: (cause) => failed(recipe, String(cause)) })

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const probe = createServer()
    probe.once("error", reject)
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address()
      probe.close(() => typeof address === "object" && address !== null ? resolve(address.port) : reject(address))
    })
  })

/** The server of that URL. */
const describe = (url: URL) => {
  const address = {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? 3306 : Number(url.port),
    user: decodeURIComponent(url.username)
  }
  const password = decodeURIComponent(url.password)
  /** Runs a statement on a connection of its own. Fails with the message of the driver. */
  const execute = (sql: string): Effect.Effect<ReadonlyArray<Readonly<Record<string, unknown>>>, string> =>
    Effect.acquireUseRelease(
      Effect.tryPromise(() => createConnection({ ...address, password, connectTimeout: Deadlines.CONNECT })),
      (connection) =>
        Effect.tryPromise(() => connection.query<Array<RowDataPacket>>({ sql, timeout: Deadlines.STATEMENT })),
      (connection) => Effect.sync(() => connection.destroy())
    ).pipe(
      Effect.mapError(({ error }) => {
        const { code, message } = error as NodeJS.ErrnoException
        return message === "" ? String(code) : message // Node leaves the message of a refused connection empty.
      }),
      Effect.map(([rows]) => rows)
    )
  return {
    version: Effect.map(execute("SELECT VERSION() AS version"), ([row]): ServerVersion => {
      const version = String(row?.["version"])
      return { kind: /mariadb/i.test(version) ? "MariaDB" : "MySQL", version }
    }),
    mysql: (process: Pick<LocalMysql, "server" | "pid" | "datadir">): LocalMysql => ({
      ...address,
      password: Redacted.make(password),
      url: (database) => {
        const target = new URL(url)
        target.pathname = `/${encodeURIComponent(database)}`
        return Redacted.make(target.href)
      },
      createDatabase: (name) =>
        execute(`CREATE DATABASE IF NOT EXISTS \`${name.replaceAll("`", "``")}\` CHARACTER SET utf8mb4`).pipe(
          Effect.asVoid,
          Effect.mapError((reason) =>
            localServerError([{ setting: name, detail: `this database could not be created: ${reason}` }])
          )
        ),
      ...process
    })
  }
}
