/** Queue on servers from npm, or on the one that TEST_SQS names: `npm run test:sqs`. */
import { queueBackendContract } from "../contract/QueueBackend.ts"
import { cannot, onServer, sqsServerNames } from "../support/aws/sqsSubject.ts"

const wanted = process.env["TEST_SQS"]
if (wanted && !sqsServerNames.some((name) => name === wanted)) {
  throw new Error(`TEST_SQS must be one of ${sqsServerNames.join(", ")}`)
}

for (const name of sqsServerNames) {
  if (wanted ? name !== wanted : name === "moto") continue
  queueBackendContract(`Queue on ${name}`, { layer: onServer(name), live: true, cannot: cannot[name] })
}
