/** Child processes: short commands, and servers that cannot outlive the process that started them. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { readFile } from "node:fs/promises"
import * as Deadlines from "./deadlines.ts"

export interface Command {
  readonly command: string
  readonly args: ReadonlyArray<string>
}

/** `code` is undefined if the process could not be started or was killed by a signal. */
export interface Finished {
  readonly code: number | undefined
  readonly output: string
}

/** Waits for local servers are in real time, even in a test with a TestClock. */
export const inRealTime: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Effect.withClock(
  Clock.make()
)

/** Runs a command to its end. At the deadline and on interruption it is stopped (SIGTERM). Never fails. */
export const run = (
  { args, command }: Command,
  deadline: Duration.DurationInput
): Effect.Effect<Finished> =>
  Effect.async<Finished>((resume) => {
    const options = { timeout: Duration.toMillis(deadline), maxBuffer: 16 * 1024 * 1024 }
    const child = execFile(command, args, options, (error, stdout, stderr) =>
      resume(Effect.succeed({
        code: error === null ? 0 : typeof error.code === "number" ? error.code : undefined,
        output: stdout + stderr + (error?.code === "ENOENT" ? error.message : "")
      })))
    return Effect.suspend(() =>
      isOver(child) ? Effect.void : Effect.async<void>((done) => {
        child.once("close", () => done(Effect.void))
        child.kill()
      })
    )
  })

const isOver = (child: ChildProcess): boolean =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null

/**
 * The watchdog is a shell in a session of its own, so that neither Ctrl-C nor the death of its owner reaches it. It
 * holds one end of a pipe (file descriptor 3); only the owner has the other end. When the pipe closes, because the
 * owner closed it or has died, the watchdog stops the server and removes the folder. A server that is still starting
 * ignores SIGTERM; it gets SIGKILL. The shell reports that on its stderr, which ends with the owner: without the trap
 * that would be the watchdog's own end, before it has removed the folder.
 */
const watchdog = `
folder=$1
shift
"$@" <"$folder/stdin" 3<&- &
server=$!
trap "" PIPE
echo "$server" >"$folder/server.pid"
(
  read -r line <&3
  : >"$folder/stop"
  kill -TERM "$server"
  tries=0
  while kill -0 "$server" && [ "$tries" -lt ${
  Math.ceil(Deadlines.STOP / 100)
} ]; do sleep 0.1 3<&-; tries=$((tries + 1)); done
  kill -KILL "$server"
) >/dev/null 2>&1 &
reader=$!
wait "$server"
code=$?
kill "$reader" 2>/dev/null
if [ -s "$folder/container" ]; then docker rm --force "$(cat "$folder/container")" >/dev/null 2>&1; fi
if [ -e "$folder/stop" ]; then rm -rf "$folder"; fi
exit "$code"
`

export interface Watched {
  /** Waits for the end of the process. */
  readonly ended: Effect.Effect<Finished>
  /** The last lines of its output. */
  readonly output: Effect.Effect<string>
}

/**
 * Starts a process under the watchdog. Its standard input is the file `stdin` in the folder. Closing the scope stops
 * it, waits for its end, and removes the folder.
 */
export const watch = (folder: string, { args, command }: Command): Effect.Effect<Watched, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn("/bin/sh", ["-c", watchdog, "betterai-watchdog", folder, command, ...args], {
          detached: true,
          stdio: ["ignore", "pipe", "pipe", "pipe"]
        })
        const lines = { tail: "" }
        const keep = (chunk: unknown) => {
          lines.tail = (lines.tail + String(chunk)).slice(-4000)
        }
        child.stdout?.on("data", keep)
        child.stderr?.on("data", keep)
        const pipe = child.stdio[3]
        pipe?.on("error", () => undefined)
        const ended = new Promise<Finished>((resolve) => {
          child.once("error", (error) => resolve({ code: undefined, output: error.message }))
          child.once("close", (code) => resolve({ code: code ?? undefined, output: lines.tail }))
        })
        return { ended, lines, stop: () => pipe?.destroy() }
      }),
      ({ ended, stop }) => Effect.promise(() => (stop(), ended))
    ),
    ({ ended, lines }) => ({ ended: Effect.promise(() => ended), output: Effect.sync(() => lines.tail) })
  )

/** `started` tells a process from a later one with the same pid. */
export interface ProcessFacts {
  readonly started: string
  readonly command: string
}

/** Start time and command of a running process; none if no process has that pid. */
export const facts = (pid: number): Effect.Effect<Option.Option<ProcessFacts>> =>
  Effect.flatMap(
    Effect.option(file("/proc/self/stat")),
    Option.match({
      onSome: () => factsFromProc(pid),
      onNone: () => factsFromPs(pid)
    })
  )

const file = (path: string) => Effect.tryPromise(() => readFile(path, "utf8"))

const factsFromProc = (pid: number) =>
  Effect.option(Effect.zipWith(file(`/proc/${pid}/stat`), file(`/proc/${pid}/cmdline`), (stat, cmdline) => {
    // The name (field 2) is in brackets and may contain spaces. The state is field 3, the start time field 22.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return { state: fields[0], started: fields[19] ?? "", command: cmdline.replaceAll("\0", " ") }
  })).pipe(Effect.map(Option.filter(({ state }) => state !== "Z" && state !== "X")))

const factsFromPs = (pid: number) =>
  Effect.map(
    run({ command: "ps", args: ["-o", "lstart=,command=", "-p", String(pid)] }, Deadlines.COMMAND),
    ({ code, output }) =>
      code === 0 ? Option.some({ started: output.slice(0, 24), command: output.slice(24) }) : Option.none()
  )

/** Stops a process by its pid: SIGTERM, and SIGKILL if it has not ended then. Never fails. */
export const stop = Effect.fnUntraced(function*(pid: number) {
  const isAlive = Effect.map(facts(pid), Option.isSome)
  const signal = (name: NodeJS.Signals) => Effect.ignore(Effect.try(() => process.kill(pid, name)))
  yield* signal("SIGTERM")
  yield* isAlive.pipe(
    Effect.delay(Deadlines.STOP_POLL),
    Effect.repeat({ while: (alive) => alive }),
    Effect.timeoutTo({ duration: Deadlines.STOP, onSuccess: () => Effect.void, onTimeout: () => signal("SIGKILL") }),
    Effect.flatten
  )
})
