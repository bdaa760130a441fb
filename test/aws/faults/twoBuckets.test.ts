/** One client for several buckets: no call may reach the bucket of another. */
import { PutObjectCommand } from "@aws-sdk/client-s3"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { S3 } from "../../../src/aws/Clients.ts"
import { Storage } from "../../../src/aws/Storage.ts"
import { Faults } from "../../support/aws/faultServer.ts"
import { settings } from "../../support/aws/settings.ts"

const bucketOf = (path: string): string => path.split("/")[1] ?? ""

describe("two buckets and one client", () => {
  it.live("are never mixed, whatever is done at once, also by the client itself", () =>
    Effect.gen(function*() {
      const server = yield* Faults
      const client = yield* S3
      const [one, two] = yield* Effect.all([
        Storage.make({ bucket: "bucket-one" }),
        Storage.make({ bucket: "bucket-two" })
      ])
      server.answer(() => ({ status: 200, headers: { etag: "\"x\"" }, body: "x" }))
      const wanted: Array<string> = []
      const calls = Array.from({ length: 100 }, (_, index) => {
        const bytes = new Uint8Array([index])
        const key = `${index}`
        wanted.push(`bucket-one/${key}`, `bucket-two/${key}`, `bucket-three/${key}`)
        return [
          index % 2 === 0 ? one.put(key, bytes) : Stream.runDrain(one.read(key)),
          index % 2 === 0 ? two.put(key, bytes) : Stream.runDrain(two.read(key)),
          Effect.promise(() => client.send(new PutObjectCommand({ Bucket: "bucket-three", Key: key, Body: bytes })))
        ]
      })
      yield* Effect.all(calls.flat() as Array<Effect.Effect<unknown, unknown>>, { concurrency: "unbounded" })
      const seen = server.seen.map(({ path }) => `${bucketOf(path)}/${path.split("/")[2]?.split("?")[0]}`)
      expect(seen.sort()).toEqual(wanted.sort())
    }).pipe(
      Effect.provide(
        Layer.unwrapEffect(
          Effect.map(Faults, (server) => Layer.provide(S3.layer, settings(server.endpoint)))
        ).pipe(Layer.provideMerge(Faults.layer))
      )
    ))
})
