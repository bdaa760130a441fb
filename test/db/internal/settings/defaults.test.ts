import { describe, expect, it } from "@effect/vitest"
import * as Fs from "node:fs"
import { defaults } from "../../../../src/db/internal/settings/defaults.ts"

const read = (path: string): string => Fs.readFileSync(new URL(`../../../../${path}`, import.meta.url), "utf8")

/** `30 (s)` and `30 seconds` are 30000 milliseconds, `none` is no limit. */
const valueOf = (text: string): unknown => {
  const [, number, unit] = /^([\d.]+)(?: \(?(s|seconds|milliseconds)\)?)?$/.exec(text) ?? []
  if (number !== undefined) return Number(number) * (unit?.startsWith("s") === true ? 1000 : 1)
  if (text === "none") return Infinity
  return text === "true" ? true : text === "false" ? false : text
}

/** `POOL_SIZE` and `multiple-statements` in the form of a field. */
const fieldOf = (name: string): string =>
  name.toLowerCase().replace(/[-_](\w)/g, (_, letter: string) => letter.toUpperCase())

const { port: _, ...ofSettings } = defaults
const { allowPublicKeyRetrieval, bigint, charset, dates, multipleStatements, sslMode, timezone, ...ofVariables } =
  ofSettings

describe("the defaults are those that are documented", () => {
  it("in the table of the variables", () => {
    const rows = read("docs/databases.md").matchAll(/^\| `MAIN_DB_(\w+)` \| ([^|]+) \|/gm)
    const documented = Array.from(rows, ([, name = "", value = ""]) => [fieldOf(name), valueOf(value.trim())] as const)
      .filter(([field]) => field !== "url")
    expect(Object.fromEntries(documented)).toEqual(ofVariables)
  })

  it("in the table of the URL's options", () => {
    const rows = read("docs/databases.md").matchAll(/^\| `([a-z-]+)` \| ([^|]+) \|/gm)
    const documented = new Map(
      Array.from(rows, ([, name = "", value = ""]) => [fieldOf(name), valueOf(value.trim())] as const)
    )
    expect(documented.get("charset")).toBe(charset)
    expect([documented.get("timezone"), timezone]).toEqual(["Z", "+00:00"])
    expect(documented.get("dates")).toBe(dates)
    expect(documented.get("bigint")).toBe(bigint)
    expect(documented.get("sslMode")).toBe(sslMode)
    expect(documented.get("multipleStatements")).toBe(multipleStatements)
    expect(documented.get("allowPublicKeyRetrieval")).toBe(allowPublicKeyRetrieval)
    expect(documented.get("connectTimeout")).toBe(defaults.connectTimeout / 1000)
  })

  it("in the docstrings of DatabaseConfig", () => {
    const source = read("src/db/internal/settings/settings.ts")
    const docstrings = source.matchAll(/[Dd]efault ([^.]+)\.\s*\*\/\s+readonly (\w+)\?:/g)
    const documented = Array.from(docstrings, ([, value = "", field = ""]) => [field, valueOf(value)] as const)
    expect(Object.fromEntries(documented)).toEqual(ofVariables)
  })
})
