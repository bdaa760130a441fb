/** Which queues the local stack makes, and their names. */
import * as Effect from "effect/Effect"
import { ConfigurationError, type ConfigurationProblem } from "../../Errors.ts"

export interface LocalQueue {
  /** Its name on the server, without `.fifo`. */
  readonly name: string
  readonly fifo: boolean
  /** The variable of its URL. */
  readonly variable: string
}

/** The queue that every local stack has, as a FIFO queue if it is asked for as one. */
export const MAIN: LocalQueue = { name: "betterai-jobs", fifo: false, variable: "AWS_SQS_QUEUE_URL" }

/** The main queue and these, each once. The prefix EMAIL_SQS gives the queue `email`, with its URL in EMAIL_SQS_QUEUE_URL. */
export const queuesOf = (
  asked: ReadonlyArray<{ readonly prefix: string; readonly fifo?: boolean | undefined }>
): Effect.Effect<ReadonlyArray<LocalQueue>, ConfigurationError> =>
  Effect.suspend(() => {
    const queues = new Map<string, LocalQueue>()
    const problems: Array<ConfigurationProblem> = []
    for (const { fifo = false, prefix } of asked) {
      const variable = `${prefix}_QUEUE_URL`
      const name = variable === MAIN.variable ? MAIN.name : prefix.toLowerCase().replace(/(?<=.)_sqs$/, "")
      const known = queues.get(variable)
      const isTaken = [MAIN, ...queues.values()].some((other) => other.name === name && other.variable !== variable)
      if (known !== undefined && known.fifo !== fifo) {
        problems.push({ setting: variable, detail: "is asked for as a FIFO queue, and as a standard queue" })
      } else if (isTaken || !/^[a-z0-9_-]{1,60}$/.test(name)) {
        problems.push({
          setting: variable,
          detail: isTaken
            ? `would be the local queue "${name}", which belongs to another`
            : "is not the name of a queue",
          hint: "give the tag of this queue another prefix"
        })
      } else if (known === undefined) queues.set(variable, { name, fifo, variable })
    }
    return problems.length === 0
      ? Effect.succeed([...new Map([[MAIN.variable, MAIN], ...queues]).values()])
      : Effect.fail(new ConfigurationError({ service: "LocalStack", reason: "InvalidSettings", problems }))
  })
