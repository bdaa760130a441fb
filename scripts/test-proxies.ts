/**
 * `npm run test:proxies`: the database tests on MySQL 9.7 through MySQL Router, through MySQL Router with connection sharing,
 * and through HAProxy, one after the other. `npm run test:proxies -- haproxy test/db/faults` runs some of them through one.
 *
 * With connection sharing, only those that need no KILL and no server connection of their own.
 */
import { proxyNames } from "../test/support/db/realProxies.ts"
import { runTests } from "./servers/runTests.ts"

/** These have servers of their own, past any proxy, or use the driver alone. */
const elsewhere = [
  ...["Tls", "internal/**/*", "faults/publicKey", "faults/serverRestart", "faults/serverStopped", "faults/failOver"]
    .map((file) => `test/db/${file}.integration.test.ts`),
  ...["test/aws/**", "test/local/**", "test/examples/**", "test/support/**"]
]

/**
 * With connection sharing a client's thread id is 0: a statement cannot be stopped. A new connection may be an old one. And
 * users of a test's own may not log in.
 */
const notShared = [
  ...["Credentials", "StatementTimeout", "Streams", "Resolvers", "SqlClients"],
  ...["connecting", "interruptedStatement", "killOverIdle", "recycling", "refusedLogin", "reservation"]
    .map((file) => `faults/${file}`),
  ...["interruption", "lateFibers", "options", "savepoints"].map((file) => `transactions/${file}`)
].map((file) => `test/db/${file}.integration.test.ts`)

runTests(
  proxyNames,
  (name) => ({ TEST_SERVER: "mysql-9.7", TEST_PROXY: name }),
  (name) => [...elsewhere, ...(name === "router-sharing" ? notShared : [])].flatMap((pattern) => ["--exclude", pattern])
)
