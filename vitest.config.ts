import { fileURLToPath } from "node:url"
import { defineConfig, type ViteUserConfig } from "vitest/config"

const src = fileURLToPath(new URL("src/", import.meta.url))

/**
 * Most tests wait, for servers and deadlines, rather than work: more than two processors need. Where all have one server, the
 * tests of one file wait for those of another.
 */
const workers = process.env["LOCAL_MYSQL_URL"] ? 2 : 3

export const shared: ViteUserConfig = {
  resolve: {
    alias: [
      { find: /^@betterai\/infrastructure$/, replacement: `${src}index.ts` },
      { find: /^@betterai\/infrastructure\/local$/, replacement: `${src}local/index.ts` },
      { find: /^@betterai\/infrastructure\/testing$/, replacement: `${src}testing/index.ts` },
      { find: /^@betterai\/infrastructure\/(.+)$/, replacement: `${src}$1.ts` }
    ]
  },
  test: {
    pool: "forks",
    maxWorkers: workers,
    // As many: a pool that removes idle workers and has to replace others may fail when a project ends.
    minWorkers: workers,
    // Loading the modules again for each file would take longer than most tests.
    poolOptions: { forks: { isolate: false } },
    setupFiles: [fileURLToPath(new URL("test/support/ownTesters.ts", import.meta.url))],
    // Programs that start a MySQL of their own take half a minute on a busy machine. A file cannot ask for it by itself:
    // `vi.setConfig` changes nothing in the second file of a worker that is not isolated.
    testTimeout: 120_000,
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
