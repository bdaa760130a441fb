/** The feature: messages of one discussion. It needs a transaction of MainDb around `post` and `reply`. */
import { HttpSession, MainDb, Outbox } from "@betterai/infrastructure"
import { Effect, Option, Schema } from "effect"
import { Events } from "./events.ts"

/** A real backend has these from its login. */
export const discussion = { customerId: 7, discussionId: 42 }

/** Half of a character, as an escape of JSON may be one, is text in no database. */
export const Text = Schema.String.pipe(Schema.maxLength(4_000), Schema.filter((text) => !/\p{Cs}/u.test(text)))

/** What a page sends. The id is made there, once for each message, however often it is sent. */
export class Draft extends Schema.Class<Draft>("Draft")({
  id: Schema.UUID,
  text: Text.pipe(Schema.filter((text) => text.trim() !== ""))
}) {}

export interface StoredFile {
  readonly key: string
  readonly name: string
  readonly size: number
}

export const File = Schema.Struct({ name: Schema.String, size: Schema.Number })

export class Message extends Schema.Class<Message>("Message")({
  id: Schema.Number,
  author: Schema.Literal("customer", "worker"),
  text: Schema.String,
  replyTo: Schema.NullOr(Schema.Number),
  file: Schema.NullOr(File),
  createdAt: Schema.DateFromSelf
}) {}

/** The job of the worker. */
export class Posted extends Schema.Class<Posted>("Posted")({ messageId: Schema.Int }) {}

interface Row {
  readonly id: number
  readonly author: Message["author"]
  readonly body: string
  readonly reply_to: number | null
  readonly file_key: string | null
  readonly file_name: string | null
  readonly file_size: number | null
  readonly created_at: Date
}

const fileOf = ({ file_key, file_name, file_size }: Row): StoredFile | null =>
  file_key === null ? null : { key: file_key, name: file_name ?? "", size: file_size ?? 0 }

// #region post
/** The row, the job of the worker and what tells the pages: all of it if the transaction commits, or nothing. */
export const post = Effect.fn("messages.post")(function*(draft: Draft, file?: StoredFile) {
  const outbox = yield* Outbox
  const events = yield* Events
  const [row] = yield* MainDb.use((sql) =>
    Effect.zipRight(
      sql`INSERT INTO messages ${
        sql.insert({
          client_id: draft.id,
          author: "customer",
          body: draft.text,
          file_key: file?.key ?? null,
          file_name: file?.name ?? null,
          file_size: file?.size ?? null
        })
      }`,
      sql<{ readonly id: number }>`SELECT id FROM messages WHERE client_id = ${draft.id}`
    )
  ).pipe(HttpSession.conflict({ message: "This message was sent before." }))
  yield* outbox.enqueue({ messageId: row!.id })
  yield* MainDb.afterCommit(events.changed)
  return { id: row!.id }
})
// #endregion

/** What the worker says to a message. */
export const reply = Effect.fn("messages.reply")(function*(to: number, text: string) {
  const events = yield* Events
  yield* MainDb.use((sql) =>
    sql`INSERT INTO messages (client_id, author, body, reply_to) VALUES (UUID(), 'worker', ${text}, ${to})`
  )
  yield* MainDb.afterCommit(events.changed)
})

/** The latest, the oldest of them first. */
export const latest = Effect.fn("messages.latest")(function*(count: number) {
  const rows = yield* MainDb.use((sql) => sql<Row>`SELECT * FROM messages ORDER BY id DESC LIMIT ${count}`)
  return rows.toReversed().map((row) =>
    new Message({
      id: row.id,
      author: row.author,
      text: row.body,
      replyTo: row.reply_to,
      file: fileOf(row),
      createdAt: row.created_at
    })
  )
})

/** The text of a message and where its file is. */
export const find = Effect.fn("messages.find")(function*(id: number) {
  const [row] = yield* MainDb.use((sql) => sql<Row>`SELECT * FROM messages WHERE id = ${id}`)
  return Option.map(Option.fromNullable(row), (row) => ({ text: row.body, file: fileOf(row) }))
})
