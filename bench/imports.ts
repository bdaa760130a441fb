/** What importing each entry point costs a fresh process, beyond starting Node and loading `effect`. */
import { spawnSync } from "node:child_process"
import { median } from "./harness.ts"

const ENTRY_POINTS = ["", "/Errors", "/db/Database", "/aws/Storage", "/aws/Queue", "/local"]
const ROUNDS = 7

const program = (specifier: string): string =>
  `await import("effect"); const start = performance.now(); await import("${specifier}");`
  + "process.stdout.write(String(performance.now() - start))"

export const run = (): void => {
  const specifiers = [
    ...ENTRY_POINTS.map((path) => `@betterai/infrastructure${path}`),
    "@effect/sql-mysql2",
    "@aws-sdk/client-s3",
    "@aws-sdk/client-sqs"
  ]
  const samples = new Map<string, Array<number>>(specifiers.map((specifier) => [specifier, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const specifier of specifiers) {
      const { status, stderr, stdout } = spawnSync(
        process.execPath,
        ["--input-type=module", "--eval", program(specifier)],
        { encoding: "utf8" }
      )
      if (status !== 0) throw new Error(`import of ${specifier} failed: ${stderr}`)
      samples.get(specifier)!.push(Number(stdout))
    }
  }
  console.log(`\nimport, ms after "effect" is loaded (${ROUNDS} fresh processes each)`)
  for (const [specifier, times] of samples) {
    console.log(
      specifier.padEnd(34) + median(times).toFixed(0).padStart(8)
        + `   ${Math.min(...times).toFixed(0)}–${Math.max(...times).toFixed(0)}`
    )
  }
}
