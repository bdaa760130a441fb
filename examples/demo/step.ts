/** What a step of the demo is. */
import type { BloodDb, GarminDb, MainDb, Queue, Storage, UfcDb } from "@betterai/infrastructure"
import type { Effect } from "effect"
import type { StoredFile } from "./files.ts"
import type { Report } from "./report.ts"

export interface Step {
  /** The line above what the step prints. */
  readonly heading: string
  /** Does the work with the files that are in S3 by now. It fails if anything is not as it should be. */
  readonly run: (files: ReadonlyArray<StoredFile>) => Effect.Effect<void, { readonly message: string }, Services>
}

/** What a step can use. */
export type Services = Storage | Queue | MainDb | GarminDb | BloodDb | UfcDb | Report
