import { queueBackendContract } from "../contract/QueueBackend.ts"
import { cannot, onServer, sqsServerNames } from "../support/aws/sqsSubject.ts"

for (const name of sqsServerNames) {
  queueBackendContract(`Queue on ${name}`, { layer: onServer(name), live: true, cannot: cannot[name] })
}
