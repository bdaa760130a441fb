/**
 * `npm run test:servers`: the tests that need a database, on MySQL, on MariaDB and on the server of this machine, one
 * after the other. `npm run test:servers -- mysql-9.7 test/db/faults` runs some of them on one; what is neither a server
 * nor the beginning of its name is passed on to vitest.
 */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { type TestServer, testServers } from "./servers/programs.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url))

const named = (word: string): ReadonlyArray<TestServer> =>
  /^\w/.test(word) ? testServers.filter((name) => name === word || name.startsWith(`${word}-`)) : []

const words = process.argv.slice(2)
const chosen = words.flatMap(named)
const passedOn = words.filter((word) => named(word).length === 0)

if (process.env["LOCAL_MYSQL_URL"]) {
  console.error(
    "test:servers starts the servers itself. Unset LOCAL_MYSQL_URL, or run npm test, which uses that server."
  )
  process.exit(1)
}

const results = (chosen.length > 0 ? chosen : testServers).map((name) => {
  console.log(`\nTEST_SERVER=${name}`)
  const { error, status } = spawnSync(
    process.execPath,
    [vitest, "run", "--project", "integration", "--exclude", "test/aws/**", ...passedOn],
    { cwd: root, env: { ...process.env, TEST_SERVER: name }, stdio: "inherit" }
  )
  if (error !== undefined) throw error
  return { name, passed: status === 0 }
})

console.log("")
for (const { name, passed } of results) console.log(`${name}: ${passed ? "passed" : "failed"}`)
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1
