/**
 * `npm run test:nodes`: `npm test` on other versions of Node, one after the other; arguments after `--` are passed on to it.
 *
 * The binaries are those that npm's package `node` ships. That package fetches them in an install script, and no install
 * script runs in this project, so the package of this platform is installed here by its name.
 */
import { spawnSync, type SpawnSyncReturns } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const versions = ["22", "24"]

const root = fileURLToPath(new URL("..", import.meta.url))
const cache = Path.join(root, "node_modules", ".cache", "nodes")
const path = process.env["PATH"] ?? ""

const fail = (message: string): never => {
  console.error(message)
  process.exit(1)
}

const npm = (args: ReadonlyArray<string>, cwd: string, env = process.env): SpawnSyncReturns<Buffer> => {
  const done = spawnSync("npm", args, { cwd, env, stdio: "inherit" })
  return done.error === undefined ? done : fail(`npm does not start: ${done.error.message}`)
}

/** The package with the binary for this machine, as the install script of `node` names it. */
const binaries = (): string => {
  const { arch, platform } = process
  if (platform !== "linux" && platform !== "darwin") {
    return fail(`test:nodes runs on Linux and macOS, not on ${platform}. Run npm test under each version yourself.`)
  }
  return `${platform === "darwin" && arch === "arm64" ? "node-bin" : "node"}-${platform}-${arch}`
}

/** The folder with the newest `node` of that major version. */
const install = (name: string, version: string): string => {
  const folder = Path.join(cache, version)
  Fs.mkdirSync(folder, { recursive: true })
  // Without a package.json of its own, npm would look for one in the folders above.
  Fs.writeFileSync(Path.join(folder, "package.json"), JSON.stringify({ private: true }))
  const { status } = npm(["install", "--ignore-scripts", "--no-audit", "--no-fund", `${name}@${version}`], folder)
  if (status !== 0) fail(`npm cannot install ${name}@${version}: see above. Is there a ${name} for this machine?`)
  return Path.join(folder, "node_modules", name, "bin")
}

const name = binaries()
const results = versions.map((version) => {
  const env = { ...process.env, PATH: `${install(name, version)}${Path.delimiter}${path}` }
  const { stdout } = spawnSync("node", ["--version"], { env, encoding: "utf8" })
  const found = stdout?.trim() ?? ""
  if (!found.startsWith(`v${version}.`)) fail(`${name}@${version} gives Node ${found === "" ? "no version" : found}`)
  console.log(`\nNode ${found}`)
  return { found, passed: npm(["test", "--", ...process.argv.slice(2)], root, env).status === 0 }
})

console.log("")
for (const { found, passed } of results) console.log(`Node ${found}: ${passed ? "passed" : "failed"}`)
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1
