/**
 * Checks the documents against the package: every `ts` fence compiles with the flags of the project, each as a module of
 * its own (`ts browser`: with the library of browsers instead of Node's); a fence `ts examples/file.ts#name` is what that
 * file has between `// #region name` and `// #endregion`; every relative link leads to a file and a heading that are
 * there; every reason of an error is in the tables; the tests that docs/faults.md names are there.
 *
 * A snippet keeps the line numbers of its document, so an error is reported where it must be fixed.
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { ConfigurationReason, DatabaseReason, ServiceReason } from "../src/Errors.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
// Here neither git nor the linter sees the copies.
const workspace = Path.join(root, "node_modules", ".cache", "snippets")

const documents = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...Fs.readdirSync(Path.join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => Path.join("docs", file))
]

const read = (document: string): string => Fs.readFileSync(Path.join(root, document), "utf8")

const lineOf = (text: string, index: number): number => text.slice(0, index).split("\n").length

/** The text with its code blanked out, every character in its place. */
const withoutCode = (text: string): string =>
  text.replace(/^```.*?^```$|`[^`\n]+`/gms, (code) => code.replace(/[^\n]/g, " "))

const write = (file: string, content: string): void => {
  Fs.mkdirSync(Path.dirname(file), { recursive: true })
  Fs.writeFileSync(file, content)
}

/** Names as GitHub gives them to headings. */
const anchorsOf = (document: string): ReadonlyArray<string> =>
  [...read(document).replace(/^```.*?^```$/gms, "").matchAll(/^#+ (.+)$/gm)].map((heading) =>
    heading[1]!.toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-")
  )

const links = documents.flatMap((document) => {
  const text = read(document)
  return [...withoutCode(text).matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].map((
    { 1: path = "", 2: anchor, index }
  ) => ({
    at: `${document}(${lineOf(text, index)})`,
    file: path === "" ? document : Path.join(Path.dirname(document), path),
    anchor
  }))
})

const deadLinks = links.flatMap(({ anchor, at, file }) => {
  if (!Fs.existsSync(Path.join(root, file))) return [`${at}: there is no ${file}`]
  return anchor === undefined || anchorsOf(file).includes(anchor) ? [] : [`${at}: ${file} has no heading #${anchor}`]
})

/** Both tables are to be complete: the short one of the README, and the full one. */
const missingReasons = ["README.md", Path.join("docs", "errors.md")].flatMap((document) => {
  const text = read(document)
  const reasons = [ConfigurationReason, ServiceReason, DatabaseReason].flatMap(({ literals }) => literals)
  return [...new Set<string>(reasons)]
    .filter((reason) => !new RegExp(`^\\|.*\`${reason}\``, "m").test(text))
    .map((reason) => `${document}: the reason ${reason} is in none of its tables`)
})

/** The fences that quote a part of an example and differ from it. */
const quotes = documents.flatMap((document) => {
  const text = read(document)
  return [...text.matchAll(/^```ts (\S+)#(\S+)\n(.*?)^```$/gms)].map(({ 1: file = "", 2: name, 3: quote, index }) => ({
    at: `${document}(${lineOf(text, index)})`,
    source: `${file}#${name}`,
    quote,
    original: Fs.existsSync(Path.join(root, file))
      ? new RegExp(`^// #region ${name}\\n(.*?)^ *// #endregion$`, "ms").exec(read(file))?.[1]
      : undefined
  }))
})
const wrongQuotes = quotes.flatMap(({ at, original, quote, source }) =>
  original === undefined
    ? [`${at}: there is no ${source}`]
    : original === quote
    ? []
    : [`${at}: is not what ${source} is`]
)

/** A row of docs/faults.md: its number, and the files of tests that it names. */
const faults = [...read(Path.join("docs", "faults.md")).matchAll(/^\| (\d+) \|.*\| ([\w/, ]+) \|$/gm)]
const missingTests = faults.flatMap(([, number, files]) =>
  files!.split(", ").flatMap((name) => {
    const file = Path.join("test", "db", name.includes("/") ? "" : "faults", `${name}.integration.test.ts`)
    const found = Fs.existsSync(Path.join(root, file)) && new RegExp(`["\`]${number} `).test(read(file))
    return found ? [] : [`docs/faults.md: no title in ${file} begins with ${number}`]
  })
)

Fs.rmSync(workspace, { recursive: true, force: true })
/** Writes the snippets of one kind, by the first line of their fences. */
const snippets = (fence: string): ReadonlyArray<string> =>
  documents.flatMap((document) => {
    const text = read(document)
    return [...text.matchAll(new RegExp(`^\`\`\`${fence}\\n(.*?)^\`\`\`$`, "gms"))].map((found) => {
      const line = lineOf(text, found.index)
      const file = Path.join(workspace, `${document}.${line}.mts`)
      write(file, `${"\n".repeat(line)}${found[1]}export {}\n`)
      return file
    })
  })
const files = snippets("ts")
const pages = snippets("ts browser")
if ([files, pages, quotes, links, faults].some(({ length }) => length === 0)) {
  console.error("no snippet, no quote, no link or no fault found: this script looks in the wrong place")
  process.exit(1)
}

const tsc = Path.join(root, "node_modules", "typescript", "bin", "tsc")
const compiles = (name: string, files: ReadonlyArray<string>, compilerOptions: object): boolean => {
  const config = Path.join(workspace, name)
  const base = Path.relative(workspace, Path.join(root, "tsconfig.json"))
  // A snippet may show a value without using it.
  write(
    config,
    JSON.stringify({
      extends: base,
      compilerOptions: { noUnusedLocals: false, ...compilerOptions },
      files,
      include: []
    })
  )
  const { error, status, stdout } = spawnSync(process.execPath, [tsc, "-p", config, "--pretty", "false"], {
    cwd: workspace,
    encoding: "utf8"
  })
  if (error) throw error
  process.stdout.write(stdout.replace(/^(.+\.md)\.\d+\.mts/gm, "$1"))
  return status === 0
}
const compiled = [
  compiles("tsconfig.json", files, {}),
  compiles("tsconfig.browser.json", pages, { lib: ["ES2023", "DOM", "DOM.Iterable"], types: [] })
]

const problems = [...deadLinks, ...wrongQuotes, ...missingReasons, ...missingTests]
for (const problem of problems) console.log(problem)
const count = files.length + pages.length
if (!compiled.includes(false) && problems.length === 0) {
  console.log(
    `${documents.length} documents are right: ${count} snippets, ${quotes.length} quotes, ${links.length} links, ${faults.length} faults`
  )
} else {
  process.exitCode = 1
}
