/**
 * Every type in a public signature can be named by users: what the declarations of a public module import from an
 * internal one, that module exports again; and index exports everything that the public modules export.
 *
 * It reads the declarations in `dist`, in which only the imports that signatures need are left.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const manifest: { readonly exports: Record<string, string | { readonly types: string }> } = JSON.parse(
  Fs.readFileSync(Path.join(root, "package.json"), "utf8")
)
const declarations = Object.values(manifest.exports).flatMap((target) =>
  typeof target === "string" ? [] : [target.types]
)

const read = (file: string): string =>
  Fs.readFileSync(Path.join(root, file), "utf8").replace(/\/\*.*?\*\//gs, "").replace(/\/\/.*$/gm, "")

/** `a, type b, c as d`: the names after the arrow of each. */
const names = (list: string, pick: 0 | 1): ReadonlyArray<string> =>
  list.split(",").map((item) => item.trim().replace(/^type /, "")).filter((item) => item !== "").map((item) => {
    const [name = "", alias = name] = item.split(/ as /)
    return pick === 0 ? name : alias
  })

const exportsOf = (text: string): ReadonlySet<string> =>
  new Set([
    ...[
      ...text.matchAll(/^export (?:declare )?(?:abstract )?(?:class|interface|type|const|function|namespace) (\w+)/gm)
    ]
      .map((match) => match[1]!),
    ...[...text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap((match) => names(match[1]!, 1)),
    ...[...text.matchAll(/^export \* as (\w+) from/gm)].map((match) => match[1]!)
  ])

const findings: Array<string> = []

for (const file of declarations) {
  const text = read(file)
  const exported = exportsOf(text)
  const require = (name: string) => {
    if (!exported.has(name)) findings.push(`${file}: ${name} stands in a signature and is not exported`)
  }
  for (
    const [, list, namespace, from] of text.matchAll(/^import (?:type )?(?:\{([^}]*)\}|\* as (\w+)) from "([^"]+)"/gm)
  ) {
    if (!from!.includes("/internal/")) continue
    for (const name of names(list ?? "", 1)) require(name)
    if (namespace !== undefined) {
      for (const [, name] of text.matchAll(new RegExp(`\\b${namespace}\\.(\\w+)`, "g"))) require(name!)
    }
  }
}

const index = read("dist/index.d.ts")
const indexed = exportsOf(index)
for (const file of declarations) {
  const module = `./${Path.posix.relative("dist", Path.posix.normalize(file)).replace(/\.d\.ts$/, "")}`
  const isNamespace = index.match(/^export \* as \w+ from "[^"]+"/gm)?.some((line) => line.includes(`"${module}.`)) ??
    false
  if (file.endsWith("/index.d.ts") || isNamespace) continue
  for (const name of exportsOf(read(file))) {
    if (!indexed.has(name)) findings.push(`${file}: ${name} is not exported by index`)
  }
}

for (const finding of findings) console.error(finding)
if (findings.length === 0) {
  console.log(`every type in the signatures of ${declarations.length} entry points has a public name`)
}
process.exitCode = findings.length === 0 ? 0 : 1
