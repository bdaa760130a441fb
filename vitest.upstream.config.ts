import { defineConfig } from "vitest/config"
import { globalSetup, shared } from "./vitest.config.ts"

/** What upstream's client does: see test/upstream. The verbose reporter shows what was observed. */
export default defineConfig({
  ...shared,
  test: { ...shared.test, globalSetup, include: ["test/upstream/*.upstream.ts"], reporters: ["verbose"] }
})
