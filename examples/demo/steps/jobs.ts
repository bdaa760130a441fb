/** Jobs go through SQS: sent, received and deleted by queues that know their schemas. */
import { Queue } from "@betterai/infrastructure"
import { Effect, Schema, Stream } from "effect"
import { row, verify } from "../report.ts"
import type { Step } from "../step.ts"

class Job extends Schema.Class<Job>("Job")({
  task: Schema.Literal("thumbnail", "transcript", "index"),
  key: Schema.String
}) {}

/** What comes out of the queue: the job, and the `created_at` that `enqueueTimestamped` added. */
const Stamped = Schema.Struct({ ...Job.fields, created_at: Schema.DateTimeUtc })

const tasks = {
  uploadImage: "thumbnail",
  uploadVideo: "thumbnail",
  uploadAudio: "transcript",
  uploadChatAttachment: "index"
} as const

export const jobs: Step = {
  heading: "SQS carries a job for each file",
  run: Effect.fn("demo.jobs")(function*(files) {
    const queue = yield* Queue.of(Job)
    const sent = yield* row(
      "enqueue jobs",
      Effect.forEach(
        files,
        (file) =>
          queue.enqueueTimestamped(new Job({ task: tasks[file.upload], key: file.stored.key }), {
            attributes: { name: file.name }
          })
      ),
      (sent) => ({ result: `${sent.length} sent` })
    )
    const stamped = yield* Queue.of(Stamped)
    const waiting = new Set(sent.map(({ messageId }) => messageId))
    yield* row(
      "consume jobs",
      stamped.stream({ waitTime: "5 seconds" }).pipe(
        Stream.mapEffect(({ ack, messageId, payload: { key } }) =>
          Effect.gen(function*() {
            yield* verify(files.some(({ stored }) => stored.key === key), `a job arrived that was not sent: ${key}`)
            yield* ack
            waiting.delete(messageId)
          })
        ),
        Stream.takeUntil(() => waiting.size === 0),
        Stream.runDrain,
        Effect.timeout("20 seconds")
      ),
      () => ({ result: `${sent.length} received, decoded and deleted` })
    )
  })
}
