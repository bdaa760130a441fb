/** Jobs go through SQS: sent by the typed queue, received and deleted with the SDK's own client. */
import { Queue, Sqs } from "@betterai/infrastructure"
import { Config, Effect, Schema } from "effect"
import { row, Unexpected, verify } from "../report.ts"
import type { Step } from "../step.ts"

class Job extends Schema.Class<Job>("Job")({
  task: Schema.Literal("thumbnail", "transcript", "index"),
  key: Schema.String
}) {}

/** What comes out of the queue: the job, and the `created_at` that `enqueueTimestamped` added. */
const Received = Schema.parseJson(Schema.Struct({ ...Job.fields, created_at: Schema.DateTimeUtc }))

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
    yield* row(
      "consume jobs",
      Effect.gen(function*() {
        const waiting = new Set(sent.map(({ messageId }) => messageId))
        while (waiting.size > 0) {
          const { id, job } = yield* receive
          yield* verify(
            files.some(({ stored }) => stored.key === job.key),
            `a job arrived that was not sent: ${job.key}`
          )
          waiting.delete(id)
        }
      }).pipe(Effect.timeout("20 seconds")),
      () => ({ result: `${sent.length} received, decoded and deleted` })
    )
  })
}

/** The next job. It is deleted after it was decoded: a job that does not fit the schema comes again. */
const receive = Effect.gen(function*() {
  const { DeleteMessageCommand, ReceiveMessageCommand } = yield* Effect.promise(() => import("@aws-sdk/client-sqs"))
  const client = yield* Sqs
  const QueueUrl = yield* Config.string("AWS_SQS_QUEUE_URL")
  const { Messages = [] } = yield* Effect.tryPromise((abortSignal) =>
    client.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 5 }), { abortSignal })
  )
  const [message] = Messages
  if (message?.Body === undefined) return yield* new Unexpected({ message: "no job arrived within 5 seconds" })
  const job = yield* Schema.decode(Received)(message.Body)
  yield* Effect.tryPromise((abortSignal) =>
    client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message.ReceiptHandle }), { abortSignal })
  )
  return { id: message.MessageId ?? "", job }
})
