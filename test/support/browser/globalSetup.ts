/** Downloads Chromium, if that was not done before, and tells the tests where it is. */
import * as Effect from "effect/Effect"
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import { install } from "../../../scripts/servers/programs.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** The command that runs Chromium. */
    readonly chromium: string
  }
}

export default async function({ provide }: TestProject): Promise<void> {
  provide("chromium", join(await Effect.runPromise(install("chromium")), "chromium"))
}
