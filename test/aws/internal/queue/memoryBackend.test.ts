import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { internals } from "../../../../src/aws/internal/queue/service.ts"
import { Queue } from "../../../../src/aws/Queue.ts"
import { Subject } from "../../../contract/queue/subject.ts"
import { queueBackendContract } from "../../../contract/QueueBackend.ts"

queueBackendContract("Queue.layerMemoryWith", {
  layer: Layer.succeed(Subject, {
    make: ({ fifo, maxReceiveCount }) =>
      Effect.provide(
        Effect.gen(function*() {
          const service = yield* Queue
          const letters = Effect.map(Queue.deadLetters, (messages) => messages.map(({ body }) => body))
          return {
            service,
            backend: service[internals].backend,
            deadLetters: Effect.provideService(letters, Queue, service)
          }
        }),
        Queue.layerMemoryWith({ kind: fifo ? "fifo" : "standard", maxReceiveCount })
      ),
    pass: (seconds) => TestClock.adjust(`${seconds * 1000} millis`)
  }),
  live: false,
  cannot: []
})
