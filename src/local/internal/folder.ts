/**
 * The private folder of one local server. It names the process that owns it, so that the folders of crashed runs can be
 * told from those in use.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { ConfigurationError } from "../../Errors.ts"
import { localServerError } from "./errors.ts"
import { facts, stop } from "./process.ts"

const prefix = "betterai-mysql-"

/** Pid and start time identify a process within a pid namespace. Other namespaces cannot be seen from here. */
const Owner = Schema.parseJson(
  Schema.Struct({ pid: Schema.Int, started: Schema.String, namespace: Schema.String })
)

const namespace = Effect.orElseSucceed(Effect.tryPromise(() => readlink("/proc/self/ns/pid")), () => "")

/** Makes a folder that only this user can enter; it is removed with the scope. */
export const makeFolder: Effect.Effect<string, ConfigurationError, Scope.Scope> = Effect.acquireRelease(
  Effect.gen(function*() {
    const pid = process.pid
    const started = Option.match(yield* facts(pid), { onNone: () => "", onSome: (self) => self.started })
    const owner = yield* Effect.orDie(Schema.encode(Owner)({ pid, started, namespace: yield* namespace }))
    return yield* Effect.tryPromise({
      try: async () => {
        const folder = await mkdtemp(join(tmpdir(), prefix))
        await writeFile(join(folder, "owner"), owner)
        return folder
      },
      catch: (cause) =>
        localServerError([{
          setting: "TMPDIR",
          detail: `no folder can be made in ${tmpdir()}: ${String(cause)}`,
          hint: "set it to a folder that this user can write to"
        }])
    })
  }),
  (folder) => remove(folder)
)

const remove = (folder: string): Effect.Effect<void> =>
  Effect.ignore(Effect.tryPromise(() => rm(folder, { recursive: true, force: true, maxRetries: 3 })))

/** Removes the folders that crashed runs of this user left, and stops servers that still run in them. Never fails. */
export const sweep: Effect.Effect<void> = Effect.gen(function*() {
  const entries = yield* Effect.tryPromise(() => readdir(tmpdir()))
  const here = yield* namespace
  yield* Effect.forEach(
    entries.filter((name) => name.startsWith(prefix)),
    (name) => Effect.ignore(sweepFolder(join(tmpdir(), name), here)),
    { concurrency: 8, discard: true }
  )
}).pipe(Effect.ignore)

const sweepFolder = Effect.fnUntraced(function*(folder: string, here: string) {
  const { uid } = yield* Effect.tryPromise(() => stat(folder))
  if (uid !== process.getuid?.()) return
  const owner = yield* Effect.flatMap(text(join(folder, "owner")), Schema.decode(Owner))
  if (owner.namespace !== here) return
  if (Option.exists(yield* facts(owner.pid), ({ started }) => started === owner.started)) return
  const pid = Number(yield* Effect.orElseSucceed(text(join(folder, "server.pid")), () => ""))
  // The pid may belong to another process by now: only a server that runs on this folder is stopped.
  if (pid > 0 && Option.exists(yield* facts(pid), ({ command }) => command.includes(folder))) yield* stop(pid)
  yield* remove(folder)
})

const text = (path: string) => Effect.tryPromise(() => readFile(path, "utf8"))
