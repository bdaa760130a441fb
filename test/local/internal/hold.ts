/** A program that starts a local MySQL server, prints where it is, and waits until it is killed. */
import * as Effect from "effect/Effect"
import { make } from "../../../src/local/internal/mysql.ts"

const program = Effect.gen(function*() {
  const { datadir, pid, port } = yield* make()
  yield* Effect.sync(() => process.stdout.write(`${JSON.stringify({ datadir, pid, port })}\n`))
  yield* Effect.never
})

await Effect.runPromise(Effect.scoped(program))
