/** An SQS server in a process of its own, with both queues and their dead-letter queues. It is not killed. */
import { buildApp } from "fauxqs"

// It ends with the process that started it, however that ends.
process.stdin.on("close", () => process.exit(1)).resume()

const app = buildApp({ logger: false, defaultRegion: "us-east-1" })
const endpoint = await app.listen({ host: "127.0.0.1", port: 0 })
process.stdout.write(`${endpoint}\n`)
