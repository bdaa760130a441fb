/** What no type can say of the package: its layout, its exports, its dependencies, and what an import of it loads. */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { builtinModules } from "node:module"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("..", import.meta.url))
const read = (file: string): string => Fs.readFileSync(Path.join(root, file), "utf8")
const sourcesOf = (folder: string): ReadonlyArray<string> =>
  Fs.readdirSync(Path.join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => Path.posix.join(folder, file.split(Path.sep).join("/")))
    .sort()

const manifest: {
  readonly version: string
  readonly exports: Record<string, string | { readonly types: string; readonly default: string }>
  readonly dependencies: Record<string, string>
  readonly peerDependencies: Record<string, string>
} = JSON.parse(read("package.json"))

const withoutComments = (source: string): string => source.replace(/\/\*.*?\*\//gs, "").replace(/(^|\s)\/\/.*$/gm, "$1")

const src = sourcesOf("src")
const code = new Map(src.map((file) => [file, withoutComments(read(file))]))

/** The specifiers that a source imports or re-exports, at run time or in types alone. */
const importsOf = (file: string): ReadonlyArray<string> =>
  [...code.get(file)!.matchAll(/^\s*(?:import|export)\s(?:[^"]*?\sfrom\s)?\s*"([^"]+)"|\bimport\("([^"]+)"\)/gm)]
    .map((match) => (match[1] ?? match[2])!)

const packageOf = (specifier: string): string =>
  specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")

const isInternal = (file: string): boolean => file.includes("/internal/")

describe("layout", () => {
  const importedFrom = (wing: string): ReadonlyArray<string> =>
    src.filter((file) => file.startsWith(wing)).flatMap((file) =>
      importsOf(file).map((specifier) =>
        specifier.startsWith(".") ? Path.posix.join(Path.posix.dirname(file), specifier) : packageOf(specifier)
      )
    )

  it("neither wing imports the other, nor what the other stands on", () => {
    const aws = importedFrom("src/aws/")
    const db = importedFrom("src/db/")
    expect(aws.filter((it) => it.startsWith("src/db/") || /sql/.test(it))).toEqual([])
    expect(db.filter((it) => it.startsWith("src/aws/") || it.startsWith("@aws-sdk/"))).toEqual([])
    // The scan sees imports at all.
    expect(aws).toContain("src/Errors.ts")
    expect(aws).toContain("@aws-sdk/client-s3")
    expect(db).toContain("src/Errors.ts")
    expect(db).toContain("@effect/sql")
  })

  it("what both wings use depends on neither", () => {
    expect(importedFrom("src/internal/").filter((it) => /^src\/(aws|db|local)\//.test(it))).toEqual([])
  })

  it("sources take time, chance, settings and output from Effect", () => {
    const outside = /\bprocess\.(env|stdout|stderr)\b|\bconsole\b|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b/g
    const found = src.flatMap((file) => [...code.get(file)!.matchAll(outside)].map((match) => `${file}: ${match[0]}`))
    expect(found).toEqual([])
  })

  it("every value that an internal module exports is used by another file", () => {
    const others = [...src, ...sourcesOf("test")]
    const texts = new Map(others.map((file) => [file, withoutComments(read(file))]))
    const unused = src.filter(isInternal).flatMap((file) =>
      [...code.get(file)!.matchAll(/^export (?:declare )?(?:const|class|function\*?) (\w+)/gm)]
        .map((match) => match[1]!)
        .filter((name) =>
          !others.some((other) => other !== file && new RegExp(`\\b${name}\\b`).test(texts.get(other)!))
        )
        .map((name) => `${file}: ${name}`)
    )
    expect(unused).toEqual([])
  })
})

describe("manifest", () => {
  const subpathOf = (file: string): string =>
    `./${file.replace(/^src\//, "").replace(/\.ts$/, "").replace(/\/?index$/, "")}`.replace(/^\.\/$/, ".")

  // A folder with an index is one entry point: the modules in it are reached through the index.
  const folders = src.filter((file) => /^src\/.+\/index\.ts$/.test(file)).map((file) => Path.posix.dirname(file))
  const publicModules = src.filter((file) =>
    !isInternal(file) && (file.endsWith("/index.ts") || !folders.includes(Path.posix.dirname(file)))
  )

  it("has an export for each public module, and none for another", () => {
    const expected = publicModules.map((file) => {
      const built = file.replace(/^src\//, "./dist/").replace(/\.ts$/, "")
      return [subpathOf(file), { types: `${built}.d.ts`, default: `${built}.js` }]
    })
    expect(manifest.exports).toEqual(Object.fromEntries([...expected, ["./package.json", "./package.json"]]))
  })

  it("index re-exports the modules of both wings and not the entry points of their own", () => {
    const reExported = new Set(importsOf("src/index.ts").map((specifier) => Path.posix.join("src", specifier)))
    expect([...reExported].sort()).toEqual(publicModules.filter((file) => !file.endsWith("/index.ts")))
  })

  it("declares the packages that the sources import, what those ask of their users, and no others", () => {
    const imported = new Set(
      src.flatMap(importsOf)
        .filter((it) => !it.startsWith(".") && !it.startsWith("node:") && !builtinModules.includes(it))
        .map(packageOf)
    )
    const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })
    expect(declared).toEqual(expect.arrayContaining([...imported]))
    const peersOf = (name: string): ReadonlyArray<string> =>
      Object.keys(JSON.parse(read(`node_modules/${name}/package.json`)).peerDependencies ?? {})
    expect(declared.filter((name) => !imported.has(name) && ![...imported].flatMap(peersOf).includes(name))).toEqual([])
  })

  it("has its version in the changelog", () => {
    expect(read("CHANGELOG.md")).toMatch(new RegExp(`^## \\[${manifest.version.replaceAll(".", "\\.")}\\]`, "m"))
  })

  it("has a lock file without registry hosts", () => {
    const lock = read("package-lock.json")
    expect(lock).not.toMatch(/"resolved"|registry\./)
    expect(JSON.parse(lock).packages[""].version).toBe(manifest.version)
  })
})

describe("loading", () => {
  /** Everything that a fresh process loads when it imports these, as paths from the root. V8 itself keeps the list. */
  const loadedBy = (...specifiers: ReadonlyArray<string>): ReadonlyArray<string> => {
    const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "infrastructure-loaded-"))
    try {
      const { status, stderr } = spawnSync(
        process.execPath,
        [
          "--import",
          "tsx",
          "--input-type=module",
          "--eval",
          specifiers.map((specifier) => `import "${specifier}"`).join("\n")
        ],
        { cwd: root, encoding: "utf8", env: { ...process.env, NODE_V8_COVERAGE: folder } }
      )
      expect(stderr).toBe("")
      expect(status).toBe(0)
      const scripts = Fs.readdirSync(folder).flatMap((file) =>
        (JSON.parse(Fs.readFileSync(Path.join(folder, file), "utf8")) as { result: Array<{ url: string }> }).result
      )
      return scripts.filter(({ url }) => url.startsWith("file:")).map(({ url }) =>
        Path.relative(root, fileURLToPath(url)).split(Path.sep).join("/")
      )
    } finally {
      Fs.rmSync(folder, { recursive: true, force: true })
    }
  }

  const aws = /^(node_modules\/(@aws-sdk|@smithy|@aws)\/|src\/aws\/)/
  const sql = /^(node_modules\/(@effect\/sql|@effect\/sql-mysql2|mysql2)\/|src\/db\/)/
  const local = /^(node_modules\/(fauxqs|fastify)\/|src\/local\/)/

  it("a package that is loaded is seen", () => {
    const loaded = loadedBy("@aws-sdk/client-sqs", "fauxqs")
    expect(loaded.some((file) => aws.test(file))).toBe(true)
    expect(loaded.some((file) => local.test(file))).toBe(true)
  })

  it("the database wing loads no AWS module", () => {
    const loaded = loadedBy("@betterai/infrastructure/db/Database")
    expect(loaded).toContain("src/db/Database.ts")
    expect(loaded.filter((file) => sql.test(file)).length).toBeGreaterThan(1)
    expect(loaded.filter((file) => aws.test(file) || local.test(file))).toEqual([])
  })

  it("the AWS wing loads no SQL module", () => {
    const loaded = loadedBy("@betterai/infrastructure/aws/Storage", "@betterai/infrastructure/aws/Queue")
    expect(loaded).toEqual(expect.arrayContaining(["src/aws/Storage.ts", "src/aws/Queue.ts"]))
    expect(loaded.filter((file) => sql.test(file) || local.test(file))).toEqual([])
  })

  it("the package itself does not load the local stack", () => {
    const loaded = loadedBy("@betterai/infrastructure")
    expect(loaded.some((file) => aws.test(file)) && loaded.some((file) => sql.test(file))).toBe(true)
    expect(loaded.filter((file) => local.test(file))).toEqual([])
  })

  it("the errors load neither wing", () => {
    const loaded = loadedBy("@betterai/infrastructure/Errors")
    expect(loaded).toContain("src/Errors.ts")
    expect(loaded.filter((file) => aws.test(file) || sql.test(file) || local.test(file))).toEqual([])
  })
})
