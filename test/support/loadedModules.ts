/** Which modules a fresh process loads for an import. */
import { spawnSync } from "node:child_process"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))

/**
 * Imports the steps one after the other in one fresh process. For each step: all files, as paths from the root of the
 * repository, that the process has loaded by then. V8 itself keeps the list, so no way to load a module escapes it.
 */
export const loadedModules = (
  steps: ReadonlyArray<ReadonlyArray<string>>
): ReadonlyArray<ReadonlyArray<string>> => {
  const script = `
    import { Session } from "node:inspector"
    import { fileURLToPath } from "node:url"
    const loaded = new Set()
    const session = new Session()
    session.connect()
    session.on("Debugger.scriptParsed", ({ params: { url } }) => {
      if (url.startsWith("file:")) loaded.add(fileURLToPath(url))
      if (url.startsWith("/")) loaded.add(url)
    })
    session.post("Debugger.enable")
    const seen = []
    for (const specifiers of ${JSON.stringify(steps)}) {
      for (const specifier of specifiers) await import(specifier)
      seen.push([...loaded])
    }
    // What was imported may keep the process alive.
    process.stdout.write(JSON.stringify(seen), () => process.exit())
  `
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--import", "tsx", "--input-type=module", "--eval", script],
    { cwd: root, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 }
  )
  if (status !== 0 || stderr !== "") throw new Error(`status ${status}: ${stderr}`)
  return (JSON.parse(stdout) as ReadonlyArray<ReadonlyArray<string>>).map((files) =>
    files.map((file) => Path.relative(root, file).split(Path.sep).join("/"))
  )
}
