/** Which part of the outbox a message belongs to. What is stored depends on it, so it must never change. */
import { SHARDS } from "./schema.ts"

/** All messages of a group are in one shard: FNV-1a of queue and group. */
export const shardOfGroup = (queue: string, group: string): number => {
  const text = `${queue}\n${group}`
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return ((hash ^ hash >>> 16) >>> 0) % SHARDS
}

/** Messages without a group are spread by their random id. */
export const shardOfMessage = (messageId: string): number => Number.parseInt(messageId.slice(0, 8), 16) % SHARDS
