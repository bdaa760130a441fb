/** What every backend of Queue must do. A small file runs it for each. */
import { describe, layer } from "@effect/vitest"
import type * as Layer from "effect/Layer"
import { admin } from "./queue/admin.ts"
import { fifo } from "./queue/fifo.ts"
import { receiving } from "./queue/receiving.ts"
import { settling } from "./queue/settling.ts"
import type { Ability, Subject } from "./queue/subject.ts"

export interface Setup<E> {
  readonly layer: Layer.Layer<Subject, E>
  /** Whether time passes by itself, and not by the clock of the test. */
  readonly live: boolean
  readonly cannot: ReadonlyArray<Ability>
}

export const queueBackendContract = <E>(name: string, { cannot, layer: subject, live }: Setup<E>): void => {
  const can = (ability: Ability): boolean => !cannot.includes(ability)
  describe(name, () => {
    layer(subject, { timeout: 30_000, excludeTestServices: live })((it) => {
      describe("receive", () => receiving(it, can))
      describe("delete and setVisibility", () => settling(it, can))
      describe("a FIFO queue", () => fifo(it, can))
      describe("attributes, purge and redrive", () => admin(it, can))
    })
  })
}
