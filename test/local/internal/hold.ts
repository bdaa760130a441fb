/** A program of its own that holds a local MySQL server until it is killed; it prints where the server is. */
import * as Effect from "effect/Effect"
import { make } from "../../../src/local/internal/mysql.ts"

const program = Effect.gen(function*() {
  const { datadir, pid, port } = yield* make
  yield* Effect.sync(() => process.stdout.write(`${JSON.stringify({ datadir, pid, port })}\n`))
  yield* Effect.never
})

await Effect.runPromise(Effect.scoped(program))
