import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const src = fileURLToPath(new URL("src/", import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@betterai\/infrastructure$/, replacement: `${src}index.ts` },
      { find: /^@betterai\/infrastructure\/local$/, replacement: `${src}local/index.ts` },
      { find: /^@betterai\/infrastructure\/(.+)$/, replacement: `${src}$1.ts` }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/globalSetup.ts"],
    // Most tests wait, for servers and deadlines, rather than work.
    pool: "forks",
    maxWorkers: 2,
    minWorkers: 1,
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})
