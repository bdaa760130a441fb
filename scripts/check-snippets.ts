/**
 * Type-checks every `ts` fence of README.md and docs/ with the flags of the project, each as a module of its own.
 * A snippet keeps the line numbers of its document, so an error is reported where it is to be mended.
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
// Here neither git nor the linter sees the copies.
const workspace = Path.join(root, "node_modules", ".cache", "snippets")

const documents = [
  "README.md",
  ...Fs.readdirSync(Path.join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => Path.join("docs", file))
]

const write = (file: string, content: string): void => {
  Fs.mkdirSync(Path.dirname(file), { recursive: true })
  Fs.writeFileSync(file, content)
}

Fs.rmSync(workspace, { recursive: true, force: true })
const files = documents.flatMap((document) => {
  const text = Fs.readFileSync(Path.join(root, document), "utf8")
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((fence) => {
    const line = text.slice(0, fence.index).split("\n").length
    const file = Path.join(workspace, `${document}.${line}.mts`)
    write(file, `${"\n".repeat(line)}${fence[1]}export {}\n`)
    return file
  })
})
if (files.length === 0) {
  console.error("no ts snippet found in README.md and docs/")
  process.exit(1)
}

const config = Path.join(workspace, "tsconfig.json")
write(
  config,
  JSON.stringify({
    extends: Path.relative(workspace, Path.join(root, "tsconfig.json")),
    // A snippet may show a value without using it.
    compilerOptions: { noUnusedLocals: false },
    files
  })
)
const tsc = Path.join(root, "node_modules", "typescript", "bin", "tsc")
const { error, status, stdout } = spawnSync(process.execPath, [tsc, "-p", config, "--pretty", "false"], {
  cwd: workspace,
  encoding: "utf8"
})
if (error) throw error
process.stdout.write(stdout.replace(/^(.+\.md)\.\d+\.mts/gm, "$1"))
if (status === 0) console.log(`${files.length} snippets of ${documents.length} documents have the right types`)
process.exitCode = status ?? 1
