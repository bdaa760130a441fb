import { defineConfig } from "vitest/config"
import { shared } from "./vitest.config.ts"

/** Pages in a real browser: see test/browser. */
export default defineConfig({
  ...shared,
  test: {
    ...shared.test,
    globalSetup: ["test/support/browser/globalSetup.ts"],
    include: ["test/browser/*.browser.ts"]
  }
})
