import { defineConfig } from "vitest/config"
import { globalSetup, shared } from "./vitest.config.ts"

/** The real packages of others, on our client and on upstream's: see test/ecosystem. */
export default defineConfig({
  ...shared,
  test: { ...shared.test, globalSetup, include: ["test/ecosystem/*.ecosystem.ts"] }
})
