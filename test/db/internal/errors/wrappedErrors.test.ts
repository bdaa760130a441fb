/** Errors of the database inside the errors of other libraries, without a server. */
import { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it } from "@effect/vitest"
import { DrizzleQueryError } from "drizzle-orm/errors"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import { classify, toDatabaseError } from "../../../../src/db/internal/errors/classify.ts"
import { mapSqlErrors } from "../../../../src/db/internal/errors/sqlError.ts"
import { DatabaseError } from "../../../../src/Errors.ts"

const SECRET = "Mrk7x9Q"

/** As the driver makes them of an error packet. */
const server = (errno: number, message: string, sqlState = "HY000"): Error =>
  Object.assign(new Error(message), { code: "ER_X", errno, sqlState, sqlMessage: message, sql: `SELECT '${SECRET}'` })

const deadlock = server(1213, "Deadlock found", "40001")
const duplicate = server(1062, `Duplicate entry '${SECRET}' for key 'email'`, "23000")
const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", errno: -104 })

const drizzle = (cause: Error | undefined) => new DrizzleQueryError("insert into t values (?)", [SECRET], cause)
const wrapped = (cause: unknown, more: object = {}) =>
  Object.assign(new Error(`Failed, with ${SECRET}`, { cause }), { parameters: [SECRET], ...more })
const deep = (cause: unknown, levels: number): unknown => levels === 0 ? cause : wrapped(deep(cause, levels - 1))
const rejection = (cause: Cause.Cause<unknown>) => Runtime.makeFiberFailure(cause)

/** Everything that a person or a log could get to see of an error. */
const renderings = (error: unknown): string =>
  [
    String(error),
    inspect(error, { depth: Infinity, showHidden: true, getters: true }),
    JSON.stringify(error),
    ...(error instanceof Error ? [error.message, error.stack, inspect(error.cause, { depth: Infinity })] : []),
    ...(error instanceof DatabaseError ? [JSON.stringify(Schema.encodeSync(DatabaseError)(error))] : []),
    Cause.pretty(Cause.fail(error), { renderErrorCause: true })
  ].join("\n")

const ways: ReadonlyArray<readonly [string, (cause: Error) => unknown]> = [
  ["drizzle", drizzle],
  ["drizzle, in a SqlError", (cause) => new SqlError({ cause: drizzle(cause) })],
  ["a SqlError in drizzle's in a SqlError", (cause) => new SqlError({ cause: drizzle(new SqlError({ cause })) })],
  ["a wrapper with a code of its own", (cause) => wrapped(cause, { code: "P2010" })],
  ["a wrapper with the code of another error of the driver", (cause) => wrapped(cause, { code: "ECONNREFUSED" })],
  ["a wrapper that copies number and code", (cause) => wrapped(cause, { errno: 1146, code: "ER_NO_SUCH_TABLE" })],
  ["twenty wrappers", (cause) => deep(cause, 20)],
  ["an AggregateError", (cause) => new AggregateError([new Error(SECRET), cause], SECRET)],
  ["an AggregateError in a wrapper", (cause) => wrapped(new AggregateError([wrapped(cause)], SECRET))],
  ["a Cause of Effect", (cause) => Cause.parallel(Cause.interrupt(0 as never), Cause.fail(cause))],
  ["a defect in a Cause", (cause) => Cause.die(drizzle(cause))],
  ["a FiberFailure", (cause) => rejection(Cause.fail(new SqlError({ cause })))],
  ["a FiberFailure in drizzle's", (cause) => drizzle(rejection(Cause.fail(new SqlError({ cause }))) as Error)],
  ["UnknownException", (cause) => new Cause.UnknownException(drizzle(cause), SECRET)]
]

describe("an error of the database inside others", () => {
  it.each(ways)("is found in %s, and no text of the wrapper is shown", (_, wrap) => {
    for (
      const [cause, expected] of [
        [deadlock, { reason: "Deadlock", errno: 1213, sqlState: "40001", retryable: true }],
        [duplicate, { reason: "UniqueViolation", errno: 1062, constraint: "email" }],
        [reset, { reason: "ConnectionLost" }]
      ] as const
    ) {
      const error = toDatabaseError("MainDb", wrap(cause))
      expect(error).toMatchObject(expected)
      expect(classify(wrap(cause))).toEqual(classify(cause))
      expect(renderings(error)).not.toContain(SECRET)
    }
    const ours = toDatabaseError("MainDb", deadlock)
    expect(toDatabaseError("GarminDb", wrap(ours))).toBe(ours)
  })

  it.each<readonly [string, unknown]>([
    ["an error of drizzle without a cause", drizzle(undefined)],
    ["a wrapper of nothing known", wrapped(wrapped(new Error(SECRET)))],
    ["a wrapper of nothing known with a code", wrapped(wrapped(new Error(SECRET)), { code: "ECONNRESET" })],
    ["a wrapper whose text looks like the driver's", wrapped(0, { message: `closed state ${SECRET}` })],
    ["an error of drizzle whose parameters look like it", drizzle(wrapped("in closed state"))],
    ["a ParseError", Effect.runSync(Effect.flip(Schema.decodeUnknown(Schema.Number)(SECRET)))],
    ["a plain text", SECRET],
    [
      "an error of JSON",
      Effect.runSync(Effect.flip(Effect.try((): unknown => JSON.parse(SECRET))))
    ]
  ])("where there is none, its text is not shown: %s", (_, error) => {
    const found = toDatabaseError("MainDb", new SqlError({ cause: error, message: SECRET }))
    expect(found.errno).toBeUndefined()
    expect(renderings(found)).not.toContain(SECRET)
  })

  it("wrappers in a circle, or without end, are left", () => {
    const one = wrapped(undefined)
    const two = wrapped(one)
    Object.assign(one, { cause: two })
    expect(toDatabaseError("MainDb", two).reason).toBe("Unknown")
    Object.assign(two, { errors: [deadlock] })
    expect(toDatabaseError("MainDb", one).reason).toBe("Deadlock")
    expect(toDatabaseError("MainDb", deep(deadlock, 1_000)).reason).toBe("Unknown")
  })

  it("the message of a number comes from the server, not from a library that wrote values into it", () => {
    const knex = Object.assign(server(1146, "Table 'a.b' doesn't exist"), { message: `select '${SECRET}' - Table …` })
    const error = toDatabaseError("MainDb", knex)
    expect(error.detail).toBe("Table 'a.b' doesn't exist")
    expect(renderings(error)).not.toContain(SECRET)
  })

  it.effect("a SqlError of another library becomes the DatabaseError inside it", () =>
    Effect.gen(function*() {
      const failure = mapSqlErrors("MainDb", Effect.fail(new SqlError({ cause: drizzle(duplicate), message: SECRET })))
      const error = yield* Effect.flip(failure)
      expect(error).toMatchObject({ reason: "UniqueViolation", database: "MainDb" })
      expect(renderings(error)).not.toContain(SECRET)
    }))
})

describe("1064 in a text of several statements", () => {
  it.each([
    ["SELECT 1; SELECT 2", true],
    ["SELECT 1;\nSELECT ?;\n", true],
    ["SELECT 1;", false],
    ["SELECT ';' FROM FROM", false],
    ["SELEC 1 -- ; x", false]
  ])("the hint of %s speaks of multiple-statements: %s", (statement, expected) => {
    const { hint } = toDatabaseError("MainDb", server(1064, "You have an error in your SQL syntax", "42000"), statement)
    expect(hint?.includes("multiple-statements=true")).toBe(expected)
  })
})
