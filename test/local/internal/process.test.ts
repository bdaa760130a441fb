import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { lastSeen } from "../../support/eventually.ts"

it.live("the watchdog of a dead owner removes the folder of a process that a signal ended", () =>
  Effect.gen(function*() {
    const owner = spawn(
      process.execPath,
      ["--import", "tsx", fileURLToPath(new URL("holdSleep.ts", import.meta.url))],
      {
        stdio: ["ignore", "pipe", "inherit"]
      }
    )
    const folder = yield* Effect.async<string>((resume) => {
      owner.stdout.once("data", (text) => resume(Effect.succeed(String(text))))
      owner.once("exit", () => resume(Effect.dieMessage("holdSleep.ts has ended")))
    })
    const exists = Effect.sync(() => existsSync(folder))
    expect(yield* exists).toBe(true)
    owner.kill("SIGKILL")
    expect(yield* lastSeen(exists, (there) => !there)).toBe(false)
  }))
