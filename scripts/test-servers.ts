/**
 * `npm run test:servers`: the tests that need a database, on MySQL, on MariaDB and on the server of this machine, one
 * after the other. `npm run test:servers -- mysql test/db/faults` runs some of them on one.
 */
import { testServers } from "./servers/programs.ts"
import { runTests } from "./servers/runTests.ts"

runTests(testServers, (name) => ({ TEST_SERVER: name }), () => ["--exclude", "test/aws/**"])
