/** What importing each entry point costs a fresh process, beyond starting Node and loading `effect`. */
import { spawnSync } from "node:child_process"
import { median } from "./harness.ts"

const ENTRY_POINTS = [
  "",
  "/Errors",
  "/db/Database",
  "/db/HttpSession",
  "/Health",
  "/aws/Storage",
  "/aws/Queue",
  "/local"
]
const ROUNDS = 7

const program = (specifier: string, loaded: ReadonlyArray<string>): string =>
  `${["effect", ...loaded].map((each) => `await import("${each}");`).join("")} const start = performance.now();`
  + `await import("${specifier}"); process.stdout.write(String(performance.now() - start))`

export const run = (): void => {
  const rows: ReadonlyArray<readonly [specifier: string, ...loaded: Array<string>]> = [
    ...ENTRY_POINTS.map((path) => [`@betterai/infrastructure${path}`] as const),
    ["@betterai/infrastructure/db/Database", "mysql2"],
    ["@effect/sql-mysql2"],
    ["@effect/sql-mysql2", "mysql2"],
    ["@aws-sdk/client-s3"],
    ["@aws-sdk/client-sqs"]
  ]
  const samples = rows.map((): Array<number> => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [row, [specifier, ...loaded]] of rows.entries()) {
      const { status, stderr, stdout } = spawnSync(
        process.execPath,
        ["--input-type=module", "--eval", program(specifier, loaded)],
        { encoding: "utf8" }
      )
      if (status !== 0) throw new Error(`import of ${specifier} failed: ${stderr}`)
      samples[row]!.push(Number(stdout))
    }
  }
  console.log(`\nimport, ms after "effect" is loaded (${ROUNDS} fresh processes each)`)
  for (const [row, [specifier, ...loaded]] of rows.entries()) {
    const times = samples[row]!
    console.log(
      [specifier, ...loaded].join(", after ").padEnd(54) + median(times).toFixed(0).padStart(8)
        + `   ${Math.min(...times).toFixed(0)}–${Math.max(...times).toFixed(0)}`
    )
  }
}
