import { describe, expect, it } from "@effect/vitest"
import { ConfigurationError, DatabaseError, ServiceError } from "../src/Errors.ts"

describe("the JSON of an error", () => {
  const cause = new Error("the provider's own words")
  const errors = [
    new ServiceError({ service: "SQS", operation: "X", reason: "Unknown", retryable: false, attempts: 1, cause }),
    new DatabaseError({ database: "MainDb", reason: "Unknown", retryable: false, cause }),
    new ConfigurationError({ service: "S3", reason: "Region", problems: [], cause })
  ]
  for (const error of errors) {
    it(`of ${error._tag} says what its message says`, () => {
      const { cause: _cause, ...fields } = { ...error }
      expect(JSON.parse(JSON.stringify(error))).toEqual({ ...fields, _tag: error._tag, message: error.message })
    })
  }
})
