/** A server that is a Python program of Debian, a process of its own: it ends with the scope, or with this process. */
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { install, type ProgramName, type Unavailable } from "../../../scripts/servers/programs.ts"
import type { ConfigurationError } from "../../../src/Errors.ts"
import { makeFolder } from "../../../src/local/internal/folder.ts"
import { inRealTime, watch } from "../../../src/local/internal/process.ts"
import { eventually } from "../eventually.ts"
import { freePort, isListening } from "../localServers.ts"

/**
 * Runs a script of this folder, which gets a folder of its own and the port as arguments. Gives the endpoint.
 *
 * @param prepare fills the folder
 */
export const startPythonServer = (
  name: ProgramName,
  script: string,
  prepare: (folder: string) => void
): Effect.Effect<string, Unavailable | ConfigError | ConfigurationError, Scope.Scope> =>
  Effect.gen(function*() {
    const commands = yield* install(name)
    const folder = yield* makeFolder
    const port = yield* freePort
    writeFileSync(join(folder, "stdin"), "")
    prepare(folder)
    const { ended, output } = yield* watch(folder, {
      command: join(commands, "python3"),
      args: ["-I", fileURLToPath(new URL(script, import.meta.url)), folder, String(port)]
    })
    const listens = eventually(
      Effect.filterOrFail(isListening(port), (open) => open, () => `${name} does not listen`),
      "30 seconds"
    )
    yield* Effect.raceFirst(listens, Effect.zipRight(ended, Effect.fail(`${name} has ended`))).pipe(
      Effect.catchAll((reason) => Effect.flatMap(output, (lines) => Effect.dieMessage(`${reason}: ${lines}`)))
    )
    return `http://127.0.0.1:${port}`
  }).pipe(inRealTime)
