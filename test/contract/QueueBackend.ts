/** What every backend of Queue must do. A small file runs it for each. */
import { describe, layer } from "@effect/vitest"
import type * as Layer from "effect/Layer"
import { admin } from "./queue/admin.ts"
import { fifo } from "./queue/fifo.ts"
import { receiving } from "./queue/receiving.ts"
import { settling } from "./queue/settling.ts"
import { type Ability, needing, type Subject } from "./queue/subject.ts"

export interface Setup<E> {
  readonly layer: Layer.Layer<Subject, E>
  /** Whether time passes by itself, and not by the clock of the test. */
  readonly live: boolean
  /** What it does not do. */
  readonly cannot: ReadonlyArray<Ability>
}

export const queueBackendContract = <E>(name: string, { cannot, layer: subject, live }: Setup<E>): void => {
  // Each test has a queue of its own; where time passes by itself they mostly wait.
  const together = live ? describe.concurrent : describe
  together(name, () => {
    layer(subject, { timeout: 30_000, excludeTestServices: live })((it) => {
      const needs = needing(it, cannot)
      describe("receive", () => receiving(it, needs))
      describe("delete and setVisibility", () => settling(it, needs))
      describe("a FIFO queue", () => fifo(it, needs))
      describe("attributes, purge and redrive", () => admin(it, needs))
    })
  })
}
