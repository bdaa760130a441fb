import { defineConfig } from "vitest/config"
import base from "./vitest.config.ts"

/** What upstream's client does: see test/upstream. The verbose reporter shows what was observed. */
export default defineConfig({
  ...base,
  test: { ...base.test, include: ["test/upstream/*.upstream.ts"], reporters: ["verbose"] }
})
