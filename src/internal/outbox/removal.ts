/**
 * Messages that were sent, until they are deleted from the outbox. They are not sent again meanwhile, and deleting them is
 * right whoever owns their shard.
 */
import * as Effect from "effect/Effect"
import type { DatabaseError } from "../../Errors.ts"
import type { Database } from "./database.ts"
import type { Entry } from "./entry.ts"

/** The most messages that one statement deletes. */
const STEP = 200

export class Removal {
  readonly #shards = new Map<number, Map<string, number>>()
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  add(shard: number, { id, messageId }: Entry): void {
    const sent = this.#shards.get(shard) ?? new Map<string, number>()
    this.#shards.set(shard, sent.set(messageId, id))
  }

  has(shard: number, messageId: string): boolean {
    return this.#shards.get(shard)?.has(messageId) === true
  }

  /** Deletes all of one shard. What could not be deleted, or nobody knows, is tried again with the next call. */
  flush(shard: number): Effect.Effect<void, DatabaseError> {
    return Effect.suspend(() => {
      const sent = this.#shards.get(shard)
      if (sent === undefined || sent.size === 0) return Effect.void
      const some = [...sent].slice(0, STEP)
      return Effect.zipRight(
        Effect.map(this.#delete(shard, some), () => {
          for (const [messageId] of some) sent.delete(messageId)
        }),
        this.flush(shard)
      )
    })
  }

  readonly flushAll: Effect.Effect<void, DatabaseError> = Effect.suspend(() =>
    Effect.forEach([...this.#shards.keys()], (shard) => this.flush(shard), { discard: true })
  )

  /**
   * By both ids: after the loss of a server, another may give the id of a message that was sent to one that was not. By
   * the primary key: a server that looks at a whole small table instead waits for whatever in it is not committed. This
   * form is the one in which both servers take an index. The text is not prepared, because it has as many values as there
   * are messages.
   */
  #delete(shard: number, sent: ReadonlyArray<readonly [string, number]>): Effect.Effect<unknown, DatabaseError> {
    const messageIds = sent.map(([messageId]) => messageId)
    const ids = sent.map(([, id]) => id)
    return this.#database.use((sql) =>
      sql`DELETE outbox FROM outbox FORCE INDEX (PRIMARY)
        WHERE shard = ${shard} AND id IN ${sql.in(ids)} AND message_id IN ${sql.in(messageIds)}`.unprepared
    )
  }
}
