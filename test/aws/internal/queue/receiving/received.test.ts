import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { RawMessage } from "../../../../../src/aws/internal/queue/backend.ts"
import { anything } from "../../../../../src/aws/internal/queue/codec.ts"
import { decode } from "../../../../../src/aws/internal/queue/receiving/received.ts"

const raw: RawMessage = {
  messageId: "1",
  receipt: "r",
  body: "",
  attributes: {},
  receiveCount: 1,
  sentAt: 0,
  messageGroupId: undefined,
  messageDeduplicationId: undefined,
  sequenceNumber: undefined,
  traceHeader: undefined
}

describe("decode", () => {
  it.effect("says why there is no body", () =>
    Effect.gen(function*() {
      const unreadable = { ...raw, unreadable: "points to another place" }
      expect(yield* Effect.flip(decode(anything, unreadable))).toBe("points to another place")
      expect(yield* Effect.flip(decode(anything, raw))).toBe("is not JSON")
    }))
})
