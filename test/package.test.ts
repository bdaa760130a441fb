/** What no type checks: the layout, the exports and dependencies of the package, and which modules an import loads. */
import * as Fs from "node:fs"
import { builtinModules } from "node:module"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { loadedModules } from "./support/loadedModules.ts"

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

/** The sources that a source imports, as paths from the root. */
const importedSources = (file: string): ReadonlyArray<string> =>
  importsOf(file).filter((specifier) => specifier.startsWith("."))
    .map((specifier) => Path.posix.join(Path.posix.dirname(file), specifier))

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

  it("neither wing imports the other, nor the packages of the other", () => {
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
    const shared = src.filter((file) => /^src\/internal\/[^/]+$/.test(file))
    expect(shared.flatMap(importedSources).filter((it) => /^src\/(aws|db|local|internal\/.*)\//.test(it))).toEqual([])
    expect([...importedFrom("src/aws/"), ...importedFrom("src/db/")].filter((it) => /^src\/internal\/.*\//.test(it)))
      .toEqual([])
  })

  it("sources take time, chance, settings and output from Effect", () => {
    const outside = /\bprocess\.(env|stdout|stderr)\b|\bconsole\b|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b/g
    const found = src.flatMap((file) => [...code.get(file)!.matchAll(outside)].map((match) => `${file}: ${match[0]}`))
    expect(found).toEqual([])
  })

  it("every value that an internal module exports is used by another source, not by tests alone", () => {
    const unused = src.filter(isInternal).flatMap((file) => {
      const importers = src.filter((other) => other !== file && importedSources(other).includes(file))
      return [...code.get(file)!.matchAll(/^export (?:declare )?(?:const|class|function\*?) (\w+)/gm)]
        .map((match) => match[1]!)
        .filter((name) => !importers.some((other) => new RegExp(`\\b${name}\\b`).test(code.get(other)!)))
        .map((name) => `${file}: ${name}`)
    })
    expect(unused).toEqual([])
  })

  it("no source imports itself by way of others, for a type either", () => {
    const cycles: Array<string> = []
    const finished = new Set<string>()
    const visit = (file: string, path: ReadonlyArray<string>): void => {
      if (path.includes(file)) {
        cycles.push([...path.slice(path.indexOf(file)), file].join(" -> "))
        return
      }
      if (finished.has(file)) return
      for (const next of importedSources(file)) visit(next, [...path, file])
      finished.add(file)
    }
    for (const file of src) visit(file, [])
    expect(cycles).toEqual([])
    // The scan sees imports of types alone.
    expect(importedSources("src/db/Repository.ts")).toContain("src/db/Database.ts")
  })

  it("no file has more than 400 lines, unless the comment at its top has a sentence \"One file because …\"", () => {
    const long = [...src, ...sourcesOf("test")].flatMap((file) => {
      const text = read(file)
      const lines = text.split("\n").length - 1
      const top = /^(?:\/\*.*?\*\/|(?:\/\/.*\n)+)/s.exec(text)?.[0] ?? ""
      return lines > 400 && !top.includes("One file because") ? [`${file}: ${lines} lines`] : []
    })
    expect(long).toEqual([])
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

  it("has an export for each public module, and no others", () => {
    const expected = publicModules.map((file) => {
      const built = file.replace(/^src\//, "./dist/").replace(/\.ts$/, "")
      return [subpathOf(file), { types: `${built}.d.ts`, default: `${built}.js` }]
    })
    expect(manifest.exports).toEqual(Object.fromEntries([...expected, ["./package.json", "./package.json"]]))
  })

  it("index re-exports the modules of both wings, and no other entry point", () => {
    const reExported = new Set(importsOf("src/index.ts").map((specifier) => Path.posix.join("src", specifier)))
    expect([...reExported].sort()).toEqual(publicModules.filter((file) => !file.endsWith("/index.ts")))
  })

  it("declares the packages that the sources import, the peers of those, and no others", () => {
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
  const aws = /^(node_modules\/(@aws-sdk|@smithy|@aws)\/|src\/aws\/)/
  const sdk = /^node_modules\/(@aws-sdk|@smithy|@aws)\//
  const sql = /^(node_modules\/(@effect\/sql|@effect\/sql-mysql2|mysql2)\/|src\/db\/)/
  const local = /^(node_modules\/(fauxqs|fastify|vitest|@effect\/vitest)\/|src\/(local|testing)\/)/
  const platform = /^node_modules\/@effect\/platform\//
  const atWork = /^node_modules\/(mime|undici)\/|^src\/aws\/internal\/(storage\/service|client\/transport)\.ts$/

  it("the errors load neither wing, and the database wing loads no AWS module", () => {
    const [errors, database, testing] = loadedModules([
      ["@betterai/infrastructure/Errors"],
      ["@betterai/infrastructure/db/Database"],
      ["@betterai/infrastructure/testing"]
    ])
    expect(errors).toContain("src/Errors.ts")
    expect(errors!.filter((file) => aws.test(file) || sql.test(file) || local.test(file))).toEqual([])
    expect(database).toContain("src/db/Database.ts")
    expect(database!.filter((file) => sql.test(file)).length).toBeGreaterThan(1)
    expect(database!.filter((file) => aws.test(file) || local.test(file))).toEqual([])
    // What is for tests needs no vitest but for its types.
    expect(testing).toContain("src/testing/Testing.ts")
    expect(testing!.filter((file) => /^node_modules\/(vitest|@effect\/vitest)\//.test(file))).toEqual([])
  })

  it("the AWS wing loads no SQL module, and neither the SDK nor what works with it before a layer is built, and the package itself no local stack", () => {
    const modules = ["aws/StorageKey", "aws/Storage", "aws/Clients", "aws/Queue"]
    const loaded = loadedModules([
      ...modules.map((module) => [`@betterai/infrastructure/${module}`]),
      ["@betterai/infrastructure"],
      ["@aws-sdk/client-sqs", "fauxqs"]
    ])
    modules.forEach((module, index) => {
      expect(loaded[index]).toContain(`src/${module}.ts`)
      const unwanted = [sql, sdk, local, platform, ...(module === "aws/Queue" ? [] : [atWork])]
      expect(loaded[index]!.filter((file) => unwanted.some((some) => some.test(file)))).toEqual([])
    })
    const [everything, more] = loaded.slice(modules.length)
    expect(everything!.some((file) => aws.test(file)) && everything!.some((file) => sql.test(file))).toBe(true)
    expect(everything!.filter((file) => local.test(file))).toEqual([])
    // A package that is loaded is seen.
    const packages = more!.filter((file) => !everything!.includes(file) && file.startsWith("node_modules/"))
    expect(packages.some((file) => aws.test(file) && sdk.test(file))).toBe(true)
    expect(packages.some((file) => local.test(file))).toBe(true)
  })
})
