/** Whether a queue and its consumer fit together: told once, when the consumer starts. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { QueueBackend } from "../backend.ts"
import type { QueueAttributes } from "../model.ts"
import type { Settings } from "./options.ts"
import { retryDelay } from "./retryDelay.ts"

/** Warns of what does not fit. A consumer need not have the permission to look (sqs:GetQueueAttributes). */
export const advise = (backend: QueueBackend, settings: Settings): Effect.Effect<void> =>
  Effect.zipRight(
    warn(ownAdvice(backend, settings)),
    Effect.matchEffect(backend.attributes, {
      onFailure: (error) => Effect.logDebug("The attributes of the queue could not be read", error),
      onSuccess: (attributes) => Effect.flatMap(advice(attributes, settings), warn)
    })
  ).pipe(Effect.annotateLogs({ queue: backend.name, consumer: settings.name }))

const warn = (all: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.forEach(all, (one) => Effect.logWarning(one), { discard: true })

const ownAdvice = ({ inMemory }: QueueBackend, { drainTimeout, waitSeconds }: Settings): ReadonlyArray<string> =>
  inMemory || drainTimeout > waitSeconds * 1000
    ? []
    : [
      `A poll waits ${waitSeconds} s, and a shutdown takes ${
        drainTimeout / 1000
      } s at most: it can end before the last poll,`
      + " whose messages then come again when their visibility ends; raise drainTimeout, or lower waitTime"
    ]

const advice = (
  { redrivePolicy, retention }: QueueAttributes,
  settings: Settings
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const all: Array<string> = []
    if (redrivePolicy === undefined) {
      all.push(
        "The queue has no dead-letter queue: a message that cannot be handled comes again until its retention ends"
      )
    }
    const { maxReceiveCount } = redrivePolicy ?? {}
    if (maxReceiveCount !== undefined && maxReceiveCount < 3) {
      all.push(
        `maxReceiveCount is ${maxReceiveCount}: a shutdown or a short failure can send good messages to the dead-letter`
          + " queue; 3 is the least that leaves room"
      )
    }
    // Each attempt may take as long as the deadline, and then the pause until the next.
    let needed = 0
    for (let receive = 1; receive <= Math.min(maxReceiveCount ?? 1, 1_000); receive++) {
      needed += settings.deadline / 1000
      if (receive > 1) needed += (yield* retryDelay(settings.retry, receive - 1)) ?? settings.visibility / 1000
    }
    if (needed > Duration.toSeconds(retention)) {
      all.push(
        `A message is kept for ${Duration.format(retention)}, and its attempts may take `
          + `${
            Duration.format(Duration.seconds(Math.round(needed)))
          }: it can be lost before it gets to the dead-letter queue;`
          + " shorten deadline or retry, or raise the queue's retention"
      )
    }
    return all
  })
