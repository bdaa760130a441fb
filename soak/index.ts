/**
 * `npm run soak -- --minutes N`: money moves between accounts while faults arrive. See `transfers.ts`.
 * `npm run soak -- --queue [--messages N]`: messages flow through an outbox while processes are killed. See `queue/index.ts`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"

/** The number after that option. */
const option = (name: string, otherwise: number): number =>
  process.argv.includes(name) ? Number(process.argv[process.argv.indexOf(name) + 1]) : otherwise

const minutes = option("--minutes", 0)
const messages = option("--messages", 10_000)

if (process.argv.includes("--queue") && Number.isInteger(messages) && messages > 0) {
  const { queue } = await import("./queue/index.ts")
  NodeRuntime.runMain(queue(messages))
} else if (!process.argv.includes("--queue") && minutes > 0) {
  const { transfers } = await import("./transfers.ts")
  NodeRuntime.runMain(transfers(minutes))
} else {
  console.error("usage: npm run soak -- --minutes N | --queue [--messages N]")
  process.exit(2)
}
