/** Proxies that stand in front of databases in production: MySQL Router and HAProxy, each a process of its own. */
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { install, type ProgramName, type Unavailable } from "../../../scripts/servers/programs.ts"
import type { ConfigurationError } from "../../../src/Errors.ts"
import { makeFolder } from "../../../src/local/internal/folder.ts"
import { type Command, inRealTime, watch } from "../../../src/local/internal/process.ts"
import { eventually } from "../eventually.ts"
import { freePort, isListening } from "../localServers.ts"

interface Address {
  readonly host: string
  readonly port: number
}

export interface RealProxy extends Address {
  /** It keeps connections to the server that no client has. */
  readonly pools: boolean
  /** Its folder, which goes with it. */
  readonly folder: string
}

/** The proxies that TEST_PROXY may name. */
const proxies = {
  /** MySQL Router as it is installed: a client has the same server connection from its login to its end. */
  router: (server: Address) => router(server, false),
  /** With connection sharing: a client without state of its own may have another server connection for each statement. */
  "router-sharing": (server: Address) => router(server, true),
  haproxy: (server: Address) => haproxy([server])
} satisfies Record<string, (server: Address) => Effect.Effect<RealProxy, unknown, Scope.Scope>>

export type ProxyName = keyof typeof proxies

export const proxyNames = Object.keys(proxies) as ReadonlyArray<ProxyName>

/** Starts that proxy in front of a server. */
export const startProxy = (name: ProxyName, server: Address): Effect.Effect<RealProxy, unknown, Scope.Scope> =>
  proxies[name](server)

/** Runs a proxy with a configuration file, and waits until it listens. */
const start = (
  program: ProgramName,
  files: (folder: string, port: number, commands: string) => Readonly<Record<string, string>>,
  command: (commands: string, folder: string) => Command,
  pools = false
): Effect.Effect<RealProxy, Unavailable | ConfigError | ConfigurationError, Scope.Scope> =>
  Effect.gen(function*() {
    const commands = yield* install(program)
    const folder = yield* makeFolder
    const port = yield* freePort
    for (const [name, content] of Object.entries({ stdin: "", ...files(folder, port, commands) })) {
      writeFileSync(join(folder, name), content)
    }
    const { ended, output } = yield* watch(folder, command(commands, folder))
    const listens = eventually(
      Effect.filterOrFail(isListening(port), (open) => open, () => `${program} does not listen`),
      "20 seconds"
    )
    yield* Effect.raceFirst(listens, Effect.zipRight(ended, Effect.fail(`${program} has ended`))).pipe(
      Effect.catchAll((reason) => Effect.flatMap(output, (lines) => Effect.dieMessage(`${reason}: ${lines}`)))
    )
    return { host: "127.0.0.1", port, folder, pools }
  }).pipe(inRealTime)

const sharingOptions = `
client_ssl_mode=DISABLED
server_ssl_mode=PREFERRED
connection_sharing=1

[connection_pool]
max_idle_server_connections=64
`

const router = ({ host, port: target }: Address, sharing: boolean) =>
  start("mysql-router", (folder, port, commands) => ({
    "router.conf": `
[DEFAULT]
name=test
logging_folder=
runtime_folder=${folder}
data_folder=${folder}
plugin_folder=${join(commands, "../root/usr/lib/mysqlrouter/plugin")}
max_total_connections=2048

[logger]
level=WARNING

[routing:server]
bind_address=127.0.0.1
bind_port=${port}
destinations=${host}:${target}
routing_strategy=first-available
protocol=classic
max_connect_errors=4294967295
${sharing ? sharingOptions : ""}`
  }), (commands, folder) => ({
    command: join(commands, "mysqlrouter"),
    args: [`--config=${join(folder, "router.conf")}`]
  }), sharing)

/** HAProxy sends connections to the first of these servers that is not out of service; the others are there for a fail-over. */
export const haproxy = (servers: ReadonlyArray<Address>) =>
  start("haproxy", (folder, port) => ({
    "haproxy.cfg": `
global
  maxconn 4000
  stats socket ${join(folder, "haproxy.sock")} level admin

defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h

listen databases
  bind 127.0.0.1:${port}
${servers.map(({ host, port }, index) => `  server db${index} ${host}:${port}${index > 0 ? " backup" : ""}`).join("\n")}
`
  }), (commands, folder) => ({ command: join(commands, "haproxy"), args: ["-db", "-f", join(folder, "haproxy.cfg")] }))

/** Gives HAProxy a command on its socket: its answer. */
export const tellHaproxy = ({ folder }: RealProxy, command: string): Effect.Effect<string> =>
  Effect.async((resume) => {
    let answer = ""
    const socket = connect(join(folder, "haproxy.sock"), () => socket.write(`${command}\n`))
    socket.on("data", (chunk) => {
      answer += String(chunk)
    })
    socket.once("error", (error) => resume(Effect.die(error)))
    socket.once("close", () => resume(Effect.succeed(answer.trim())))
  })
