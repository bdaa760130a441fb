/**
 * `npm run soak -- --minutes N`: money moves between accounts while faults arrive. See `transfers.ts`.
 * `npm run soak -- --queue [--messages N]`: messages flow through an outbox while processes are killed. See `queue/index.ts`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import type { Teardown } from "@effect/platform/Runtime"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"

/** The number after that option. */
const option = (name: string, otherwise: number): number =>
  process.argv.includes(name) ? Number(process.argv[process.argv.indexOf(name) + 1]) : otherwise

const minutes = option("--minutes", 0)
const messages = option("--messages", 10_000)

/** One that was interrupted has found nothing, which is not to say that all is well. */
const teardown: Teardown = (exit, onExit) =>
  onExit(Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? 130 : 1)

if (process.argv.includes("--queue") && Number.isInteger(messages) && messages > 0) {
  const { queue } = await import("./queue/index.ts")
  NodeRuntime.runMain(queue(messages), { teardown })
} else if (!process.argv.includes("--queue") && minutes > 0) {
  const { transfers } = await import("./transfers.ts")
  NodeRuntime.runMain(transfers(minutes), { teardown })
} else {
  console.error("usage: npm run soak -- --minutes N | --queue [--messages N]")
  process.exit(2)
}
