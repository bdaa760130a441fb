/** The test of the feature in `examples/`, on the server of the run. */
import { inject, vi } from "vitest"

const [server] = inject("mysql")
if (server === undefined) throw new Error("the run has no database server")
const { entry: { host, port }, password, user } = server
vi.stubEnv("LOCAL_MYSQL_URL", `mysql://${user}:${password}@${host}:${port}`)

await import("../../examples/feature/notes.test.ts")
