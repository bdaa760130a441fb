/** What tests of local servers check: processes, ports and folders of this machine. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { facts } from "../../src/local/internal/process.ts"

/** Runs an effect with these settings and no others. */
export const withSettings = (settings: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(settings))))

export interface Running {
  readonly pid: number | undefined
  readonly port: number
  readonly datadir: string | undefined
}

export const isAlive = (pid: number | undefined): Effect.Effect<boolean> => Effect.map(facts(pid ?? 0), Option.isSome)

export const isListening = (port: number, host = "127.0.0.1"): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const socket = connect(port, host)
    const done = (answer: boolean) => {
      socket.destroy()
      resume(Effect.succeed(answer))
    }
    socket.once("connect", () => done(true))
    socket.once("error", () => done(false))
  })

/** A port on which nothing listened just now. */
export const freePort: Effect.Effect<number> = Effect.async((resume) => {
  const probe = createServer()
  probe.listen(0, "127.0.0.1", () => {
    const address = probe.address()
    probe.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/** What exists of a server: its process, its port, its folder. */
export const traces = ({ datadir, pid, port }: Running) =>
  Effect.all({
    process: isAlive(pid),
    port: isListening(port),
    folder: Effect.sync(() => existsSync(join(datadir ?? "", "..")))
  })

export const everything = { process: true, port: true, folder: true }
export const nothing = { process: false, port: false, folder: false }

/** Waits until nothing is left of the server, in real time, for 30 seconds at most. Returns what is left then. */
export const afterwards = (running: Running) =>
  traces(running).pipe(
    Effect.repeat({
      until: ({ folder, port, process }) => !folder && !port && !process,
      schedule: Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(600))
    }),
    Effect.zipRight(traces(running))
  )

/** The folders of local servers that this process owns. */
export const ownFolders = Effect.sync(() =>
  readdirSync(tmpdir()).filter((name) => name.startsWith("betterai-mysql-")).filter((name) => {
    const owner = join(tmpdir(), name, "owner")
    return existsSync(owner) && JSON.parse(readFileSync(owner, "utf8")).pid === process.pid
  })
)
