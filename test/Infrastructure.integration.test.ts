import type { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { expectTypeOf } from "vitest"
import type { Queue } from "../src/aws/Queue.ts"
import type { Storage } from "../src/aws/Storage.ts"
import { BloodDb, GarminDb, MainDb, UfcDb } from "../src/db/Database.ts"
import type { ConfigurationError, DatabaseError } from "../src/Errors.ts"
import * as Infrastructure from "../src/Infrastructure.ts"
import { LocalStack } from "../src/local/index.ts"

const settings = (values: Readonly<Record<string, string>>) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))

describe("Infrastructure.layer", () => {
  it("has the type of the contract", () => {
    expectTypeOf(Infrastructure.layer).toEqualTypeOf<
      Layer.Layer<Storage | Queue | MainDb | GarminDb | BloodDb | UfcDb, ConfigurationError | DatabaseError>
    >()
    expectTypeOf(Infrastructure.layerOptional).toEqualTypeOf<
      Layer.Layer<Storage | Queue, ConfigurationError | DatabaseError>
    >()
  })

  it.live("reports what is wrong with all parts in one error", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Layer.build(Layer.provide(Infrastructure.layer, settings({ AWS_REGION: "eu-west-1" })))
      )
      expect(error._tag).toBe("ConfigurationError")
      const named = (error as ConfigurationError).problems.map(({ setting }) => setting)
      expect([...named].sort()).toEqual([
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SQS_QUEUE_URL",
        "BLOOD_DB_URL",
        "GARMIN_DB_URL",
        "IMAGE_S3_BUCKET",
        "MAIN_DB_URL",
        "UFC_DB_URL"
      ])
    }).pipe(Effect.scoped))

  it.live("works on the local stack: every part, side by side", () =>
    Effect.gen(function*() {
      const nameOf = (sql: SqlClient) =>
        Effect.map(sql<{ name: string }>`SELECT DATABASE() AS name`, ([row]) => row!.name)
      const names = yield* Effect.all([
        MainDb.use(nameOf),
        GarminDb.use(nameOf),
        BloodDb.use(nameOf),
        UfcDb.use(nameOf)
      ], { concurrency: "unbounded" })
      expect(names).toEqual(["main", "garmin", "blood", "ufc"])
    }).pipe(Effect.provide(Infrastructure.layer), Effect.provide(LocalStack.layer)))
})

describe("Infrastructure.layerOptional", () => {
  const aws = {
    AWS_ACCESS_KEY_ID: "key",
    AWS_SECRET_ACCESS_KEY: "secret",
    AWS_REGION: "eu-west-1",
    IMAGE_S3_BUCKET: "pictures",
    AWS_SQS_QUEUE_URL: "https://sqs.eu-west-1.amazonaws.com/1/jobs"
  }

  it.live("leaves out the databases without a URL; `require` says which setting is missing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(GarminDb.require)
      expect(error).toMatchObject({
        _tag: "ConfigurationError",
        service: "GarminDb",
        reason: "NotConfigured",
        problems: [{ setting: "GARMIN_DB_URL" }]
      })
    }).pipe(Effect.provide(Infrastructure.layerOptional), Effect.provide(settings(aws))))

  it.live("still refuses a URL that is set and wrong", () =>
    Effect.gen(function*() {
      const layer = Layer.provide(Infrastructure.layerOptional, settings({ ...aws, GARMIN_DB_URL: "postgres://x" }))
      const error = yield* Effect.flip(Layer.build(layer))
      expect(error).toMatchObject({ _tag: "ConfigurationError", service: "GarminDb" })
    }).pipe(Effect.scoped))
})
