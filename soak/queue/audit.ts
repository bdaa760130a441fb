/** What is in the tables at the end, and whether it is as it must be. */
import * as Effect from "effect/Effect"
import type { Row } from "../../test/support/db/admin.ts"
import { DATABASE, type Kind, LANES, messagesOf } from "./model.ts"

interface Numbered {
  readonly kind: Kind
  readonly lane: number
  readonly seq: number
}

export interface Found {
  readonly orders: ReadonlyArray<Numbered & { readonly id: string; readonly message: string }>
  /** In the order of their numbers. */
  readonly effects: ReadonlyArray<Numbered & { readonly order: string }>
  readonly inbox: ReadonlyArray<{ readonly consumer: string; readonly id: string }>
  /** The rows of `outbox`, and of `outbox_failed`. */
  readonly unsent: number
  readonly refused: number
  /** In the queues, and in their dead-letter queues. */
  readonly queued: number
  readonly dead: number
}

type Admin = (sql: string) => Effect.Effect<ReadonlyArray<Row>>

export const count = (admin: Admin, table: string): Effect.Effect<number> =>
  Effect.map(admin(`SELECT COUNT(*) AS n FROM ${DATABASE}.${table}`), ([row]) => Number(row!["n"]))

/** What is in the tables. */
export const read = (admin: Admin): Effect.Effect<Omit<Found, "queued" | "dead">> =>
  Effect.gen(function*() {
    const numbered = ({ kind, lane, seq }: Row): Numbered => ({ kind, lane: Number(lane), seq: Number(seq) })
    const orders = yield* admin(`SELECT * FROM ${DATABASE}.orders`)
    const effects = yield* admin(`SELECT * FROM ${DATABASE}.effects ORDER BY n`)
    const inbox = yield* admin(`SELECT consumer, id FROM ${DATABASE}.inbox`)
    return {
      orders: orders.map((row) => ({ ...numbered(row), id: String(row["id"]), message: String(row["message_id"]) })),
      effects: effects.map((row) => ({ ...numbered(row), order: String(row["order_id"]) })),
      inbox: inbox.map(({ consumer, id }) => ({ consumer: String(consumer), id: String(id) })),
      unsent: yield* count(admin, "outbox"),
      refused: yield* count(admin, "outbox_failed")
    }
  })

const nameOf = ({ kind, lane, seq }: Numbered): string => `${kind} ${lane}/${seq}`

/** Everything that is not as it must be, in words. */
export const audit = (found: Found, messages: number): ReadonlyArray<string> => {
  const { dead, effects, inbox, orders, queued, refused, unsent } = found
  const wrong: Array<string> = []

  const numbers = new Set(orders.map(nameOf))
  for (const kind of ["jobs", "events"] as const) {
    for (let lane = 0; lane < LANES; lane++) {
      for (let seq = 1; seq <= messagesOf(lane, messages); seq++) {
        if (!numbers.has(`${kind} ${lane}/${seq}`)) wrong.push(`${kind} ${lane}/${seq} was not placed`)
      }
    }
  }
  if (orders.length !== numbers.size) wrong.push(`${orders.length} orders have ${numbers.size} numbers`)

  const placed = new Map(orders.map((order) => [order.id, order]))
  const times = new Map<string, number>()
  for (const effect of effects) {
    const order = placed.get(effect.order)
    if (order === undefined) wrong.push(`${nameOf(effect)} had effect, and its transaction was rolled back`)
    else if (nameOf(order) !== nameOf(effect)) wrong.push(`${nameOf(order)} has arrived as ${nameOf(effect)}`)
    times.set(effect.order, (times.get(effect.order) ?? 0) + 1)
  }
  for (const order of orders) {
    const n = times.get(order.id) ?? 0
    if (n !== 1) wrong.push(`${nameOf(order)} had effect ${n} times`)
  }

  const last = new Map<number, number>()
  for (const effect of effects) {
    if (effect.kind !== "events") continue
    const before = last.get(effect.lane) ?? 0
    if (effect.seq !== before + 1) wrong.push(`${nameOf(effect)} had effect after ${effect.lane}/${before}`)
    last.set(effect.lane, effect.seq)
  }

  const ids = new Set(inbox.map(({ consumer, id }) => `${consumer} ${id}`))
  for (const order of orders) {
    if (!ids.delete(`${order.kind} ${order.message}`)) wrong.push(`${nameOf(order)} is not in the inbox`)
  }
  for (const id of ids) wrong.push(`the inbox has ${id}, of no order`)

  for (
    const [where, n] of [
      ["the outbox", unsent],
      ["outbox_failed", refused],
      ["the queues", queued],
      ["the dead-letter queues", dead]
    ] as const
  ) if (n !== 0) wrong.push(`${n} messages are left in ${where}`)
  return wrong
}
