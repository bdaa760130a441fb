/** Which messages are sent together. No I/O. */
import { BATCH, MAX_SIZE } from "../../aws/internal/queue/limits.ts"
import type { Entry } from "./entry.ts"

/** Batches of one queue each, in the order given. A message that is too large for any batch is alone in one. */
export const batchesOf = (entries: Iterable<Entry>): ReadonlyArray<ReadonlyArray<Entry>> => {
  const batches: Array<Array<Entry>> = []
  const open = new Map<string, { readonly batch: Array<Entry>; bytes: number }>()
  for (const entry of entries) {
    const current = open.get(entry.queue)
    if (
      current === undefined || current.batch.length === BATCH || current.bytes + entry.size > MAX_SIZE
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
