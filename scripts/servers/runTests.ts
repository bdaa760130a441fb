/** Runs integration tests with these variables, and says whether they passed. */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))
const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url))

const run = (variables: Readonly<Record<string, string>>, args: ReadonlyArray<string>): boolean => {
  console.log(`\n${Object.entries(variables).map(([name, value]) => `${name}=${value}`).join(" ")}`)
  const { error, status } = spawnSync(process.execPath, [vitest, "run", "--project", "integration", ...args], {
    cwd: root,
    env: { ...process.env, ...variables },
    stdio: "inherit"
  })
  if (error !== undefined) throw error
  return status === 0
}

/**
 * Runs the tests with each of these names that the words of the command line name, or with all. A word that is neither a
 * name nor the beginning of one is passed on to vitest. Ends the process.
 */
export const runTests = <Name extends string>(
  names: ReadonlyArray<Name>,
  variables: (name: Name) => Readonly<Record<string, string>>,
  args: (name: Name) => ReadonlyArray<string>
): never => {
  if (process.env["LOCAL_MYSQL_URL"] && "TEST_SERVER" in variables(names[0]!)) {
    console.error("The servers are started here. Unset LOCAL_MYSQL_URL, or run npm test, which uses that server.")
    process.exit(1)
  }
  const named = (word: string): ReadonlyArray<Name> =>
    names.filter((name) => name === word).concat(names.filter((name) => name.startsWith(`${word}-`))).slice(0, 1)
  const words = process.argv.slice(2)
  const chosen = words.flatMap(named)
  const passedOn = words.filter((word) => named(word).length === 0)
  const results = (chosen.length > 0 ? chosen : names).map((name) => ({
    name,
    passed: run(variables(name), [...args(name), ...passedOn])
  }))
  console.log("")
  for (const { name, passed } of results) console.log(`${name}: ${passed ? "passed" : "failed"}`)
  process.exit(results.every(({ passed }) => passed) ? 0 : 1)
}
