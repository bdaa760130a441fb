/** Processes that are killed at random and started again, and that end with this one. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { build } from "esbuild"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Unsound } from "../unsound.ts"
import { NOT_STARTED, type Told } from "./model.ts"

export type Role = "producer" | "relay" | "worker"

export type Environment = Readonly<Record<string, string>>

/** What happened to all processes together, as far as they could tell. */
export interface Counts extends Readonly<Record<Told, number>> {
  readonly kills: Readonly<Record<Role, number>>
  readonly notStarted: number
  /** How often each line was logged. */
  readonly logged: ReadonlyMap<string, number>
}

export interface Children {
  /** Keeps so many processes of that role running, until `stop`, or until they are done. Fails if one ends by itself. */
  readonly keep: (role: Role, count: number) => Effect.Effect<void, Unsound>
  /** Kills one of them with SIGKILL, one that is at work or, with `anyone`, one that is still starting. */
  readonly kill: (anyone: boolean) => Effect.Effect<void>
  /** Asks all to end (SIGTERM). */
  readonly stop: Effect.Effect<void>
  readonly counts: Counts
}

interface Child {
  readonly role: Role
  readonly process: ChildProcess
  isReady: boolean
  isDone: boolean
  isKilled: boolean
}

/** A bundle starts in a fifth of the time of the sources. It is removed when the scope closes. */
const bundle: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "betterai-soak-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const outfile = join(folder, "process.mjs")
  yield* Effect.promise(() =>
    build({
      entryPoints: [fileURLToPath(new URL("process.ts", import.meta.url))],
      outfile,
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      logLevel: "error",
      // For the packages in it that are not ES modules.
      banner: {
        js: "import { createRequire } from \"node:module\"; const require = createRequire(import.meta.url);"
      }
    })
  )
  return outfile
})

/** Starts a program of this folder. The end of the scope kills it, and so does the end of this process. */
export const start = (args: ReadonlyArray<string>, environment: Environment = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, args, {
        stdio: ["pipe", "pipe", "pipe"],
        env: { ...process.env, NODE_NO_WARNINGS: "1", ...environment }
      })
      // It may be gone when its input is closed.
      child.stdin.on("error", () => undefined)
      const closed = new Promise<void>((resolve) => child.once("close", () => resolve()))
      return { child, closed }
    }),
    ({ child, closed }) => Effect.promise(() => (child.kill("SIGKILL"), closed))
  )

export const make = (environment: Environment): Effect.Effect<Children, never, Scope.Scope> =>
  Effect.gen(function*() {
    const program = yield* bundle
    const running = new Set<Child>()
    let isStopping = false
    const told: Record<Told, number> = { "ready": 0, "rolled back": 0, "delivered": 0, "swallowed": 0, "done": 0 }
    const kills: Record<Role, number> = { producer: 0, relay: 0, worker: 0 }
    const logged = new Map<string, number>()
    const counts = { ...told, kills, notStarted: 0, logged }

    /** Runs one process to its end. Gives whether there is to be another. */
    const once = (role: Role): Effect.Effect<boolean, Unsound> =>
      Effect.scoped(Effect.gen(function*() {
        const { child, closed } = yield* start([program, role], environment)
        const state: Child = { role, process: child, isReady: false, isDone: false, isKilled: false }
        running.add(state)
        yield* Effect.addFinalizer(() => Effect.sync(() => running.delete(state)))
        createInterface(child.stdout).on("line", (line) => {
          counts[line as Told]++
          if (line === "ready") state.isReady = true
          if (line === "done") state.isDone = true
        })
        let last = ""
        createInterface(child.stderr).on("line", (line) => {
          last = line
          const [level, text = "", why = ""] = line.split(" | ")
          const key = `${level}: ${text}${why === "" ? "" : `: ${why.slice(0, 150)}`}`.replace(/[\da-f-]{36}|\d+/g, "…")
          logged.set(key, (logged.get(key) ?? 0) + 1)
        })
        yield* Effect.promise(() => closed)
        if (state.isKilled) return !state.isDone
        if (child.exitCode === 0 && (isStopping || state.isDone)) return false
        // It does not listen to signals yet.
        if (isStopping && !state.isReady && child.signalCode === "SIGTERM") return false
        if (!state.isReady && child.exitCode === NOT_STARTED) {
          counts.notStarted++
          return !isStopping
        }
        const how = child.exitCode ?? child.signalCode
        return yield* new Unsound({ findings: [`a ${role} has ended by itself (${how}): ${last.slice(0, 1_000)}`] })
      }))

    return {
      keep: (role, count) =>
        Effect.forEach(
          Array.from({ length: count }),
          () => Effect.repeat(once(role), { while: (again) => again && !isStopping }),
          { concurrency: "unbounded", discard: true }
        ),
      kill: (anyone) =>
        Effect.map(Random.next, (chance) => {
          const victims = [...running].filter(({ isKilled, isReady }) => !isKilled && (isReady || anyone))
          const victim = victims[Math.floor(chance * victims.length)]
          // The handle knows whether it has ended, so no other process can have the pid.
          if (victim === undefined || !victim.process.kill("SIGKILL")) return
          victim.isKilled = true
          kills[victim.role]++
        }),
      stop: Effect.sync(() => {
        isStopping = true
        for (const { process } of running) process.kill("SIGTERM")
      }),
      counts
    }
  })
