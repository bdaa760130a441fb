/** `npm run test:sqs`: Queue on a server of SQS that npm does not have. */
import { runTests } from "./servers/runTests.ts"

runTests(["moto"], (name) => ({ TEST_SQS: name }), () => ["test/aws/Queue.servers"])
