import { fileURLToPath } from "node:url"
import { defineConfig, type ViteUserConfig } from "vitest/config"

const src = fileURLToPath(new URL("src/", import.meta.url))

export const shared: ViteUserConfig = {
  resolve: {
    alias: [
      { find: /^@betterai\/infrastructure$/, replacement: `${src}index.ts` },
      { find: /^@betterai\/infrastructure\/local$/, replacement: `${src}local/index.ts` },
      { find: /^@betterai\/infrastructure\/(.+)$/, replacement: `${src}$1.ts` }
    ]
  },
  test: {
    // Most tests wait, for servers and deadlines, rather than work.
    pool: "forks",
    maxWorkers: 2,
    minWorkers: 1,
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
}

/** Starts the database servers of the run. */
export const globalSetup = ["test/support/globalSetup.ts"]

/** Starts the S3 server of TEST_S3. */
const s3Setup = "test/support/aws/globalSetup.ts"

const integration = "test/**/*.integration.test.ts"

/** `npm test` runs both. Servers are started only where a file of the second one runs. */
export default defineConfig({
  ...shared,
  test: {
    ...shared.test,
    projects: [
      { extends: true, test: { name: "unit", include: ["test/**/*.test.ts"], exclude: [integration] } },
      { extends: true, test: { name: "integration", include: [integration], globalSetup: [...globalSetup, s3Setup] } }
    ]
  }
})
