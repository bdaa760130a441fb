/** How many shards each living relay should have. No I/O. */
import { SHARDS } from "./schema.ts"

/**
 * The share of one relay: as equal as can be. Those that have most get what is left over, so that nothing moves without a
 * reason.
 */
export const shareOf = (
  relay: string,
  living: Iterable<string>,
  owners: Iterable<string | null>
): number => {
  const relays = new Set([...living, relay])
  const held = new Map<string, number>()
  for (const owner of owners) if (owner !== null) held.set(owner, (held.get(owner) ?? 0) + 1)
  const order = [...relays].sort((one, other) =>
    (held.get(other) ?? 0) - (held.get(one) ?? 0) || (one < other ? -1 : 1)
  )
  const least = Math.floor(SHARDS / order.length)
  return least + (order.indexOf(relay) < SHARDS % order.length ? 1 : 0)
}
