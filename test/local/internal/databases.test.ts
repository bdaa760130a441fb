import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { databasesOf } from "../../../src/local/internal/databases.ts"

const four = [
  { name: "main", variable: "MAIN_DB_URL" },
  { name: "garmin", variable: "GARMIN_DB_URL" },
  { name: "blood", variable: "BLOOD_DB_URL" },
  { name: "ufc", variable: "UFC_DB_URL" }
]

describe("the databases of a local stack", () => {
  it.effect("are four without further prefixes", () =>
    Effect.gen(function*() {
      expect(yield* databasesOf([])).toEqual(four)
    }))

  it.effect("are named after their prefixes, in lower case and without _DB at the end", () =>
    Effect.gen(function*() {
      expect(yield* databasesOf(["LAB_DB", "DB_COPY", "Labor", "_DB"])).toEqual([
        ...four,
        { name: "lab", variable: "LAB_DB_URL" },
        { name: "db_copy", variable: "DB_COPY_URL" },
        { name: "labor", variable: "Labor_URL" },
        { name: "_db", variable: "_DB_URL" }
      ])
    }))

  it.effect("are each made once, however often a prefix is given", () =>
    Effect.gen(function*() {
      expect(yield* databasesOf(["LAB_DB", "UFC_DB", "LAB_DB"])).toEqual([
        ...four,
        { name: "lab", variable: "LAB_DB_URL" }
      ])
    }))

  it.effect("are refused if two have the same name, or one that the server uses; every clash is listed", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(databasesOf(["LAB_DB", "LAB", "main", "MYSQL_DB"]))
      expect(error).toMatchObject({ service: "LocalStack", reason: "InvalidSettings" })
      const hint = "give the tag of this database another prefix"
      expect(error.problems).toEqual([
        { setting: "LAB_URL", detail: "would be the local database \"lab\", which belongs to LAB_DB_URL", hint },
        { setting: "main_URL", detail: "would be the local database \"main\", which belongs to MAIN_DB_URL", hint },
        {
          setting: "MYSQL_DB_URL",
          detail: "would be the local database \"mysql\", which belongs to the server itself",
          hint
        }
      ])
    }))

  it.effect("are refused if their URL would be a setting of S3 and SQS", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(databasesOf(["AWS_ENDPOINT"]))
      expect(error.problems).toEqual([{
        setting: "AWS_ENDPOINT_URL",
        detail: "begins with AWS_, as the settings of S3 and SQS do",
        hint: "give the tag of this database another prefix"
      }])
    }))
})
