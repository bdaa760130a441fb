/** A program that watches a process which a signal ends, prints its folder, and waits until it is killed. */
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { makeFolder } from "../../../src/local/internal/folder.ts"
import { watch } from "../../../src/local/internal/process.ts"

const program = Effect.gen(function*() {
  const folder = yield* makeFolder
  writeFileSync(join(folder, "stdin"), "")
  yield* watch(folder, { command: "sleep", args: ["600"] })
  yield* Effect.sync(() => process.stdout.write(folder))
  yield* Effect.never
})

await Effect.runPromise(Effect.scoped(program))
