/**
 * `npm run test:s3`: Storage on S3 servers that check signatures, one after the other. `npm run test:s3 -- swift-2.35 -t copy`
 * runs some of the tests on one.
 */
import { s3ServerNames } from "../test/support/aws/realS3.ts"
import { runTests } from "./servers/runTests.ts"

runTests(s3ServerNames, (name) => ({ TEST_S3: name }), () => ["test/aws/Storage.real"])
