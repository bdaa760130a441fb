/** Answers messages: it measures them and their files, and looks up in the other databases what their words mean. */
import { BloodDb, GarminDb, Inbox, MainDb, Queue, UfcDb } from "@betterai/infrastructure"
import { Effect, Option } from "effect"
import * as Attachments from "./attachments.ts"
import * as Messages from "./messages.ts"

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`

// #region lookUp
/** What the customer's watch, the laboratory and the statistics of fights have about these words. */
const lookUp = (words: ReadonlyArray<string>) =>
  Effect.all([
    GarminDb.use((sql) =>
      sql<{ readonly fact: string }>`
        SELECT CONCAT(kind, ': ', SUM(kilometres), ' km in ', COUNT(*), ' activities') AS fact
        FROM activities WHERE ${sql.in("kind", words)} GROUP BY kind`
    ),
    BloodDb.use((sql) =>
      sql<{ readonly fact: string }>`
        SELECT CONCAT(marker, ': ', value, ' ', unit, ', taken on ', taken_on) AS fact
        FROM labs WHERE ${sql.in("marker", words)}`
    ),
    UfcDb.use((sql) =>
      sql<{ readonly fact: string }>`
        SELECT CONCAT(name, ': ', wins, ' wins, ', losses, ' losses') AS fact
        FROM fighters WHERE ${sql.in("last_name", words)}`
    )
  ], { concurrency: "unbounded" }).pipe(Effect.map((rows) => rows.flat().map(({ fact }) => fact)))
// #endregion

const answer = Effect.fn("worker.answer")(function*(messageId: number) {
  const message = yield* Messages.find(messageId)
  if (Option.isNone(message)) return
  const { file, text } = message.value
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []
  const lines = [
    ...(text === "" ? [] : [`${count(words.length, "word")}, ${count([...text].length, "character")}`]),
    ...(words.length === 0 ? [] : yield* lookUp([...new Set(words)])),
    ...(file === null
      ? []
      : [`${file.name}: ${count(file.size, "byte")}, SHA-256 ${yield* Attachments.sha256(file.key)}`])
  ]
  yield* Messages.reply(messageId, lines.join("\n"))
})

// #region worker
/** Each message is answered once, although its job may be delivered more often. Runs until it is interrupted. */
export const worker = Effect.gen(function*() {
  yield* Inbox.check(MainDb)
  const queue = yield* Queue.of(Messages.Posted)
  return yield* queue.consume(({ payload }) => answer(payload.messageId), {
    name: "answers",
    dedupe: Inbox.dedupe(MainDb, { consumer: "answers" }),
    deadline: "1 minute",
    // For a demo, so that Ctrl-C waits no longer: a quiet consumer ends with its poll.
    waitTime: "1 second",
    // A file that is not there will not come back.
    isPoison: (error) => error._tag === "ServiceError" && error.reason === "ObjectNotFound"
  })
})
// #endregion
