/** Which messages are sent together. No I/O. */
import type { Entry } from "./entry.ts"

/** Of SendMessageBatch, messages and bytes. */
const MAX_MESSAGES = 10
const MAX_BYTES = 1_048_576

/** Batches of one queue each, in the order given. A message that is too large for any batch is alone in one. */
export const batchesOf = (entries: Iterable<Entry>): ReadonlyArray<ReadonlyArray<Entry>> => {
  const batches: Array<Array<Entry>> = []
  const open = new Map<string, { readonly batch: Array<Entry>; bytes: number }>()
  for (const entry of entries) {
    const current = open.get(entry.queue)
    if (
      current === undefined || current.batch.length === MAX_MESSAGES || current.bytes + entry.size > MAX_BYTES
    ) {
      const batch = [entry]
      batches.push(batch)
      open.set(entry.queue, { batch, bytes: entry.size })
    } else {
      current.batch.push(entry)
      current.bytes += entry.size
    }
  }
  return batches
}
