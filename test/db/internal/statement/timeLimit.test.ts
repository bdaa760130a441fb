import { expect, it } from "@effect/vitest"
import { stat } from "node:fs"
import type { Connection } from "../../../../src/db/internal/connection/connection.ts"
import { TimeLimit } from "../../../../src/db/internal/statement/timeLimit.ts"

const block = (millis: number): void => {
  const end = performance.now() + millis
  while (performance.now() < end);
}

const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

const limitOf = (millis: number) => {
  let stops = 0
  const connection = { stop: () => stops++ } as unknown as Connection
  return { limit: new TimeLimit(millis, connection, () => {}), stops: () => stops }
}

it("an answer that waits to be read while the process is busy comes before the limit", async () => {
  const { limit, stops } = limitOf(20)
  limit.start()
  // Its callback becomes ready while the process is blocked, as that of a socket does.
  stat(".", () => limit.pause())
  block(100)
  await pause(50)
  expect(stops()).toBe(0)
})

it("each wait has the whole limit; it stops once", async () => {
  const { limit, stops } = limitOf(80)
  for (let i = 0; i < 3; i++) {
    limit.start()
    await pause(40)
    limit.pause()
  }
  expect(stops()).toBe(0)
  limit.start()
  limit.start()
  await pause(150)
  limit.start()
  await pause(150)
  expect([limit.passed, stops()]).toEqual([true, 1])
})
