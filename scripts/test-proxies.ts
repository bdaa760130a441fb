/**
 * `npm run test:proxies`: the database tests on MySQL 9.7 through MySQL Router, through MySQL Router with connection sharing,
 * and through HAProxy, one after the other. `npm run test:proxies -- haproxy test/db/faults` runs some of them through one.
 */
import { proxyNames } from "../test/support/db/realProxies.ts"
import { runTests } from "./servers/runTests.ts"

/** These have servers of their own, past any proxy, or use the driver alone. */
const elsewhere = [
  ...["Tls", "internal/**/*", "faults/publicKey", "faults/serverRestart", "faults/serverStopped", "faults/failOver"]
    .map((file) => `test/db/${file}.integration.test.ts`),
  ...["test/aws/**", "test/local/**", "test/examples/**", "test/support/**"]
]

runTests(
  proxyNames,
  (name) => ({ TEST_SERVER: "mysql-9.7", TEST_PROXY: name }),
  elsewhere.flatMap((pattern) => ["--exclude", pattern])
)
