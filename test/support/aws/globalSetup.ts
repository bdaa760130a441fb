/** Starts the S3 server that TEST_S3 names, if any. It ends with the run, also if that is interrupted or killed. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import { type RealS3, s3ServerNames, startS3 } from "./realS3.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly s3: RealS3 | undefined
  }
}

export default async function({ provide }: TestProject): Promise<() => Promise<void>> {
  const wanted = process.env["TEST_S3"]
  const name = s3ServerNames.find((one) => one === wanted)
  if (wanted && name === undefined) throw new Error(`TEST_S3 must be one of ${s3ServerNames.join(", ")}`)
  if (name === undefined) {
    provide("s3", undefined)
    return () => Promise.resolve()
  }
  const scope = Effect.runSync(Scope.make())
  provide("s3", await Effect.runPromise(Scope.extend(startS3(name), scope)))
  console.log(`The S3 tests run on ${name}`)
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
