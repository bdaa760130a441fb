/** Tests on the server that TEST_S3 names: see `npm run test:s3`. */
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { randomUUID } from "node:crypto"
import { describe, inject, it } from "vitest"
import { type Ability, cannot, type RealS3 } from "./realS3.ts"
import { settings } from "./settings.ts"

/** A server with a bucket for these tests alone. */
export interface RealBucket extends RealS3 {
  readonly bucket: string
  /** Whether the server does that. Tests of what it does not do are skipped by their `it.skipIf(!can("…"))`. */
  readonly can: (ability: Ability) => boolean
  /** Makes the bucket, and gives the settings of a process that uses it. `more` replaces some of them. */
  readonly settings: (more?: Readonly<Record<string, string>>) => Layer.Layer<never>
  /** The SDK's own client of it, which makes one attempt. */
  readonly client: () => S3Client
}

/** Defines tests on a bucket of their own. In a run without TEST_S3 they are skipped. */
export const onRealS3 = (title: string, tests: (s3: RealBucket) => void): void => {
  const server = inject("s3")
  if (server === undefined) describe.skip(title, () => it("needs TEST_S3", () => undefined))
  else describe(`${title} (${server.name})`, () => tests(withBucket(server)))
}

const withBucket = (server: RealS3): RealBucket => {
  const { accessKeyId, endpoint, name, region, secretAccessKey } = server
  const bucket = `clinic-uploads-${randomUUID()}`
  const client = () =>
    new S3Client({
      ...{ endpoint, region, credentials: { accessKeyId, secretAccessKey } },
      ...{ forcePathStyle: true, expectContinueHeader: false, maxAttempts: 1 }
    })
  let made: Promise<unknown> | undefined
  const make = () => {
    const s3 = client()
    return s3.send(new CreateBucketCommand({ Bucket: bucket })).finally(() => s3.destroy())
  }
  const missing: ReadonlyArray<Ability> = cannot[name]
  return {
    ...server,
    bucket,
    client,
    can: (ability) => !missing.includes(ability),
    settings: (more) =>
      Layer.unwrapEffect(Effect.as(
        Effect.promise(() => made ??= make()),
        settings(endpoint, {
          AWS_ACCESS_KEY_ID: accessKeyId,
          AWS_SECRET_ACCESS_KEY: secretAccessKey,
          AWS_SESSION_TOKEN: "",
          AWS_REGION: region,
          IMAGE_S3_BUCKET: bucket,
          ...more
        })
      ))
  }
}
