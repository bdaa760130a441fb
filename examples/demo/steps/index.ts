/** The steps of the demo, in this order, after the upload. One more is a file in this folder and a line here. */
import type { Step } from "../step.ts"
import { fourDatabases, recordFiles } from "./databases.ts"
import { failures } from "./failures.ts"
import { jobs } from "./jobs.ts"

export const steps: ReadonlyArray<Step> = [
  recordFiles,
  jobs,
  fourDatabases,
  failures
]
