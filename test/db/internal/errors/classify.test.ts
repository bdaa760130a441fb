/** The table of errors, without a server. One file because every case is a row of one table and its redaction. */
import { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import { createConnection, createServer } from "mysql2"
import type { AddressInfo } from "node:net"
import * as Net from "node:net"
import { inspect } from "node:util"
import {
  type Classification,
  classify,
  isPermanent,
  isTooManyConnections,
  makeError,
  toDatabaseError
} from "../../../../src/db/internal/errors/classify.ts"
import { rows } from "../../../../src/db/internal/errors/errorTable.ts"
import { DatabaseError, type DatabaseReason } from "../../../../src/Errors.ts"

/** As the driver makes them of an error packet. */
const server = (errno: number, message: string, sqlState = "HY000"): Error =>
  Object.assign(new Error(message), {
    code: "ER_WRONG_NAME",
    errno,
    sqlState,
    sqlMessage: message,
    sql: "INSERT INTO t VALUES ('S3CR3T')"
  })

const network = (code: string, message = `read ${code}`, more: object = {}): Error =>
  Object.assign(new Error(message), { code, errno: -104, ...more })

/** Everything that a person or a log could get to see of an error. */
const renderings = (error: DatabaseError): string =>
  [
    error.message,
    String(error),
    error.stack,
    inspect(error, { depth: 10, showHidden: true }),
    JSON.stringify(error),
    JSON.stringify(Schema.encodeSync(DatabaseError)(error)),
    inspect(error.cause, { depth: 10, showHidden: true }),
    Cause.pretty(Cause.fail(error), { renderErrorCause: true })
  ].join("\n")

type Fate = Partial<Omit<Classification, "reason">>

const kept: Required<Fate> = {
  retryable: false,
  discard: false,
  transaction: "kept",
  invalidatesPool: false,
  outcome: "failed"
}
const lost: Required<Fate> = {
  retryable: true,
  discard: true,
  transaction: "gone",
  invalidatesPool: false,
  outcome: "unknown"
}
const refused: Required<Fate> = { ...lost, retryable: false, outcome: "failed" }
const noWordOfTheServer: Required<Fate> = { ...lost, retryable: false }
const unlisted: Required<Fate> = { ...noWordOfTheServer, transaction: "unsure" }

const expected: ReadonlyArray<readonly [reason: DatabaseReason, errnos: ReadonlyArray<number>, fate: Fate]> = [
  ["Deadlock", [1213, 1020], { ...kept, retryable: true, transaction: "gone" }],
  ["LockWaitTimeout", [1205], { ...kept, retryable: true, transaction: "unsure" }],
  ["LockNotAvailable", [3572], kept],
  ["UniqueViolation", [1062, 1586], kept],
  ["ForeignKeyViolation", [1451, 1452, 1216, 1217], kept],
  ["NotNullViolation", [1048, 1364], kept],
  ["CheckViolation", [3819, 4025], kept],
  ["InvalidData", [1406, 1264, 1366, 1265, 1292, 1690], kept],
  ["Syntax", [1064], kept],
  ["UnknownObject", [1146, 1054, 1305], kept],
  ["AccessDenied", [1142], kept],
  ["UnknownDatabase", [1049], kept],
  ["Cancelled", [1317], kept],
  ["StatementTimeout", [1969, 3024], kept],
  ["ReadOnlyServer", [1836], { ...kept, retryable: true, discard: true, invalidatesPool: true }],
  ["ReadOnlyTransaction", [1792], kept],
  ["LoginRefused", [1045, 1044, 1698, 1524, 1862, 3118], refused],
  ["Tls", [3159], noWordOfTheServer],
  ["TooManyConnections", [1040, 1203, 1226], lost],
  ["PacketTooLarge", [1153], refused],
  ["ConnectionLost", [1053, 1077, 1078, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031], lost],
  ["ConnectionLost", [2006, 2013, 2014, 2055], lost],
  ["Unknown", [1005, 1242, 1442, 1526], kept],
  ["Unknown", [1206], { ...kept, transaction: "gone" }],
  ["Unknown", [1105, 1180, 1999, 65000], unlisted],
  ["Unknown", [1412, 1615], { ...kept, retryable: true }],
  ["Unknown", [1243], refused]
]

describe("classify", () => {
  for (const [reason, errnos, fate] of expected) {
    it.each(errnos)(`%s is ${reason}`, (errno) => {
      expect(classify(server(errno, "something happened"))).toEqual({ ...fate, reason })
    })
  }

  it("each number, state and code is in one row only", () => {
    const keys = rows.flatMap((row) => [...row.errnos ?? [], ...row.states ?? [], ...row.codes ?? []])
    expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([])
  })

  it("1290 speaks of many options, and of a read-only server only sometimes", () => {
    const of = (option: string) =>
      classify(
        server(1290, `The MariaDB server is running with the ${option} option so it cannot execute this statement`)
      )
    expect(of("--read-only")).toMatchObject({
      reason: "ReadOnlyServer",
      invalidatesPool: true,
      discard: true,
      retryable: true
    })
    expect(of("--super-read-only")).toMatchObject({ reason: "ReadOnlyServer" })
    expect(of("--secure-file-priv")).toEqual({ ...kept, reason: "Unknown" })
  })

  it.each<readonly [string, DatabaseReason, Fate]>([
    ["40001", "Deadlock", { transaction: "gone", retryable: true }],
    ["08S01", "ConnectionLost", lost],
    ["08004", "TooManyConnections", lost],
    ["28000", "LoginRefused", refused],
    ["42S02", "UnknownObject", kept],
    ["22007", "InvalidData", kept],
    ["25006", "ReadOnlyTransaction", kept],
    ["70100", "Cancelled", kept],
    ["45000", "Unknown", kept],
    ["42000", "Unknown", kept],
    ["0A000", "Unknown", kept],
    ["HY000", "Unknown", unlisted]
  ])("a number that is not listed goes by its SQLSTATE: %s is %s", (state, reason, fate) => {
    expect(classify(server(9999, "new", state))).toMatchObject({ reason, ...fate })
  })

  it.each<readonly [Error, DatabaseReason, Fate]>([
    [network("ECONNRESET"), "ConnectionLost", lost],
    [network("EPIPE"), "ConnectionLost", lost],
    [network("ETIMEDOUT"), "ConnectionLost", lost],
    [network("ETIMEDOUT", "connect ETIMEDOUT", { syscall: "connect" }), "ConnectTimeout", lost],
    [network("PROTOCOL_CONNECTION_LOST"), "ConnectionLost", lost],
    [network("PROTOCOL_PACKETS_OUT_OF_ORDER"), "ConnectionLost", lost],
    [network("PROTOCOL_SEQUENCE_TIMEOUT"), "StatementTimeout", noWordOfTheServer],
    [
      new Error("Can't add new command when connection is in closed state"),
      "ConnectionLost",
      { ...lost, outcome: "failed" }
    ],
    [new Error("Can't write in closed state"), "ConnectionLost", { ...lost, outcome: "failed" }],
    [network("ECONNREFUSED"), "Unreachable", lost],
    [network("ENOTFOUND"), "Unreachable", lost],
    [network("EAI_AGAIN"), "Unreachable", lost],
    [network("EHOSTUNREACH"), "Unreachable", lost],
    [network("ENETUNREACH"), "Unreachable", lost],
    [Object.assign(new AggregateError([network("ECONNREFUSED")]), { code: "ECONNREFUSED" }), "Unreachable", lost],
    [network("SELF_SIGNED_CERT_IN_CHAIN"), "Tls", noWordOfTheServer],
    [network("CERT_HAS_EXPIRED"), "Tls", noWordOfTheServer],
    [network("ERR_TLS_CERT_ALTNAME_INVALID"), "Tls", noWordOfTheServer],
    [network("ERR_SSL_WRONG_VERSION_NUMBER"), "Tls", noWordOfTheServer],
    [network("HANDSHAKE_NO_SSL_SUPPORT"), "Tls", noWordOfTheServer],
    [network("HANDSHAKE_SSL_ERROR", "self-signed certificate in certificate chain"), "Tls", noWordOfTheServer],
    [network("HANDSHAKE_SSL_ERROR", "read ECONNRESET"), "ConnectionLost", lost],
    [
      network("HANDSHAKE_SSL_ERROR", "Client network socket disconnected before secure TLS connection was established"),
      "ConnectionLost",
      lost
    ],
    [network("AUTH_SWITCH_PLUGIN_ERROR"), "LoginRefused", refused],
    [new TypeError("Bind parameters must not contain undefined"), "Unknown", noWordOfTheServer],
    [new SyntaxError("Unexpected token ] in JSON"), "Unknown", noWordOfTheServer],
    [Object.assign(new Error("odd"), { fatal: true }), "Unknown", noWordOfTheServer],
    [new Error("odd"), "Unknown", noWordOfTheServer]
  ])("%s is %s", (cause, reason, fate) => {
    expect(classify(cause)).toEqual({ ...fate, reason })
  })

  it("takes anything", () => {
    FastCheck.assert(FastCheck.property(FastCheck.anything(), (cause) => {
      expect(classify(cause).reason).toBe("Unknown")
      expect(toDatabaseError("MainDb", cause).reason).toBe("Unknown")
    }))
  })

  it("sees through the SqlError of a client, and knows its own errors again", () => {
    const error = toDatabaseError("MainDb", server(1213, "Deadlock found"))
    const wrapped = new SqlError({ cause: new SqlError({ cause: server(1213, "Deadlock found") }) })
    expect(classify(wrapped)).toEqual(classify(server(1213, "Deadlock found")))
    expect(classify(error)).toEqual(classify(wrapped))
    expect(toDatabaseError("GarminDb", new SqlError({ cause: error }))).toBe(error)
    expect(classify(makeError("MainDb", "ConnectionLost", "gone"))).toEqual({
      ...lost,
      retryable: false,
      reason: "ConnectionLost"
    })
    expect(classify(makeError("MainDb", "CommitOutcomeUnknown", "gone")).retryable).toBe(false)
  })

  it("says when dialling again cannot help", () => {
    expect([1045, 1044, 1698, 1524, 1862, 3118].every((errno) => isPermanent(server(errno, "")))).toBe(true)
    expect([1045, 1049, 3159].every((errno) => isPermanent(server(errno, "")))).toBe(true)
    expect(isPermanent(network("DEPTH_ZERO_SELF_SIGNED_CERT"))).toBe(true)
    expect([1040, 1213, 2013].some((errno) => isPermanent(server(errno, "")))).toBe(false)
    expect(isPermanent(network("ECONNREFUSED"))).toBe(false)
    expect([1040, 1203, 1226].every((errno) => isTooManyConnections(server(errno, "")))).toBe(true)
    expect(isTooManyConnections(server(1045, ""))).toBe(false)
  })
})

describe("toDatabaseError", () => {
  it.each([
    [1062, "Duplicate entry 'a' for key 'users.email'", "email"],
    [1062, "Duplicate entry 'a' for key 'email'", "email"],
    [1062, "Duplicate entry '1' for key 'PRIMARY'", "PRIMARY"],
    [1586, "Duplicate entry '1-2' for key 'pair'", "pair"],
    [1062, "Duplicate entry 'x' for key 'fake'' for key 'real'", "real"],
    [1062, "Duplicate entry 'x' for key", undefined],
    [
      1452,
      "Cannot add or update a child row: a foreign key constraint fails (`zz`.`ch`, CONSTRAINT `fk_p` FOREIGN KEY (`pid`) "
      + "REFERENCES `p` (`id`))",
      "fk_p"
    ],
    [
      1451,
      "a foreign key constraint fails (`z`.`c`, CONSTRAINT `f``k` FOREIGN KEY (`p`) REFERENCES `p` (`id`))",
      "f`k"
    ],
    [1216, "Cannot add or update a child row: a foreign key constraint fails", undefined],
    [3819, "Check constraint 'age_ok' is violated.", "age_ok"],
    [4025, "CONSTRAINT `age_ok` failed for `zz`.`users`", "age_ok"],
    [4025, "CONSTRAINT `users.age` failed for `zz`.`users`", "age"],
    [1048, "Column 'n' cannot be null", undefined]
  ])("the constraint of %s %s is %s", (errno, message, constraint) => {
    expect(toDatabaseError("MainDb", server(errno, message)).constraint).toBe(constraint)
  })

  it.each([
    [1146, "Table 'zz.nope' doesn't exist", "Table 'zz.nope' doesn't exist"],
    [1054, "Unknown column 'x' in 'SELECT'", "Unknown column 'x' in 'SELECT'"],
    [1406, "Data too long for column 'email' at row 1", "Data too long for column 'email' at row 1"],
    [1364, "Field 'n' doesn't have a default value", "Field 'n' doesn't have a default value"],
    [1062, "Duplicate entry 'o'x@y' for key 'email'", "a row with the same value of the key 'email' exists"],
    [
      1366,
      "Incorrect integer value: 'a' for column `z`.`t`.`id` at row 1",
      "the value is not valid for the column 'id'"
    ],
    [1366, "Incorrect integer value: 'a' for column 'id' at row 1", "the value is not valid for the column 'id'"],
    [
      1292,
      "Truncated incorrect DECIMAL value: 'o'x@y'",
      "a value is not valid for the type that the statement needs"
    ],
    [
      1064,
      "You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right "
      + "syntax to use near ''secret' at line 12",
      "the server does not understand the statement (line 12 of it)"
    ],
    [1298, "Unknown or incorrect time zone: 'x'", "Unknown or incorrect time zone: '?'"],
    [1017, "Can't find file: 'x' (errno: 2 \"No such file\")", "Can't find file: '?')"],
    [1999, "a 'b' c 'd", "a '?'"],
    [1999, "nothing quoted", "nothing quoted"],
    [1999, "", "ER_WRONG_NAME"]
  ])("the detail of %s %s says: %s", (errno, message, detail) => {
    expect(toDatabaseError("MainDb", server(errno, message)).detail).toBe(detail)
  })

  it("carries what the server said, and a cleaned cause", () => {
    const error = toDatabaseError("MainDb", server(1062, "Duplicate entry 'a' for key 'email'", "23000"), "INSERT ?")
    expect(error).toMatchObject({ database: "MainDb", errno: 1062, sqlState: "23000", statement: "INSERT ?" })
    expect(error.cause).toBeInstanceOf(Error)
    expect({ ...error.cause as Error }).toEqual({
      name: "MysqlError",
      errno: 1062,
      code: "ER_WRONG_NAME",
      sqlState: "23000"
    })
    expect(error.message).toContain("MainDb (UniqueViolation): a row with the same value of the key 'email' exists")
  })

  it("says apart what went wrong and what to do", () => {
    const error = toDatabaseError("MainDb", server(1213, "Deadlock found when trying to get lock", "40001"))
    expect(error.detail).toBe("Deadlock found when trying to get lock")
    expect(error.hint).toBe("run the transaction again: the server rolled it back")
    expect(error.message).toBe(
      `MainDb (Deadlock): ${error.detail}; ${error.hint} [errno 1213, SQLSTATE 40001]`
    )
  })

  it("every row has a hint of its own, and no detail of ours has advice in it", () => {
    for (const row of rows) {
      expect(row.hint).not.toBe("")
      expect(row.detail("it failed")).not.toContain(";")
    }
  })

  it("numbers of Node are no errno", () => {
    const error = toDatabaseError("MainDb", network("ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:1"))
    expect(error.errno).toBeUndefined()
    expect(error.cause).toMatchObject({ name: "MysqlError", code: "ECONNREFUSED" })
    expect(error.detail).toBe("connect ECONNREFUSED 127.0.0.1:1")
    expect(error.hint).toContain("check the host")
  })

  it("shows no value that the server quotes, whatever is in it", () => {
    // Each as the server writes it, with the value in its place.
    const messages: ReadonlyArray<readonly [errno: number, state: string, message: (value: string) => string]> = [
      [1062, "23000", (value) => `Duplicate entry '${value}' for key 'email'`],
      [1586, "23000", (value) => `Duplicate entry '${value}' for key 'users.email'`],
      [
        1761,
        "23000",
        (value) => `Foreign key constraint for table 't', record '${value}' would lead to a duplicate entry`
      ],
      [1366, "22007", (value) => `Incorrect string value: '${value}' for column \`m\`.\`t\`.\`c\` at row 1`],
      [1366, "HY000", (value) => `Incorrect integer value: '${value}' for column 'c' at row 1`],
      [1292, "22007", (value) => `Truncated incorrect DOUBLE value: '${value}'`],
      [1292, "22007", (value) => `Incorrect datetime value: '${value}' for column 'd' at row 1`],
      [1525, "HY000", (value) => `Incorrect DATE value: '${value}'`],
      [1411, "HY000", (value) => `Incorrect datetime value: '${value}' for function str_to_date`],
      [1690, "22003", (value) => `BIGINT UNSIGNED value is out of range in '(${value} + 1)'`],
      [1264, "22003", (value) => `Out of range value for column '(${value} + 1)' at row 1`],
      [1300, "HY000", (value) => `Invalid utf8mb4 character string: '${value}'`],
      [1367, "22007", (value) => `Illegal double '${value}' value found during parsing`],
      [1064, "42000", (value) => `You have an error in your SQL syntax; near '${value}' at line 1`],
      [1139, "42000", (value) => `Regex error '${value}'`],
      [3140, "22032", (value) => `Invalid JSON text: "${value}" at position 0 in value for column 't.c'.`],
      [1644, "45000", (value) => value],
      [30001, "45000", (value) => value],
      [1298, "HY000", (value) => `Unknown or incorrect time zone: '${value}'`],
      [9999, "HY000", (value) => `Never seen: '${value}'`],
      [9999, "HY000", (value) => `Nie gesehen: „${value}“ und "${value}"`],
      [9999, "HY000", (value) => `Can't do \`${value}' now, don't`],
      [9999, "22007", (value) => `Never seen ${value}`],
      [9999, "42S02", (value) => `Never seen: '${value}'`]
    ]
    const noise = FastCheck.stringOf(
      FastCheck.constantFrom(
        "'",
        "\"",
        "`",
        "\\",
        " ",
        "n't ",
        "'t ",
        " for key 'k'",
        " for column 'c' at row 1",
        "%",
        "\n"
      ),
      { maxLength: 5 }
    )
    FastCheck.assert(
      FastCheck.property(
        FastCheck.constantFrom(...messages),
        noise,
        noise,
        ([errno, state, message], before, after) => {
          const cause = server(errno, message(`${before}S3CR3T${after}`), state)
          const error = toDatabaseError("MainDb", cause, "INSERT INTO t VALUES (?)")
          expect(renderings(error)).not.toContain("S3CR3T")
          expect(renderings(makeError("MainDb", "Unknown", "failed", { cause }))).not.toContain("S3CR3T")
        }
      ),
      { numRuns: 500 }
    )
  })
})

describe("makeError", () => {
  it("is not retryable unless told", () => {
    expect(makeError("MainDb", "PoolTimeout", "none free")).toMatchObject({ retryable: false, detail: "none free" })
    expect(makeError("MainDb", "PoolTimeout", "none free", { retryable: true }).retryable).toBe(true)
  })

  it("keeps detail and hint apart, and has no hint unless one is given", () => {
    const error = makeError("MainDb", "PoolTimeout", "none free", { hint: "raise POOL_SIZE" })
    expect(error).toMatchObject({ detail: "none free", hint: "raise POOL_SIZE" })
    expect(error.message).toBe("MainDb (PoolTimeout): none free; raise POOL_SIZE")
    expect(makeError("MainDb", "PoolTimeout", "none free").hint).toBeUndefined()
  })

  it("takes the numbers from its cause, and cleans that", () => {
    const cause = server(1045, "Access denied for user 'u'@'h' (using password: YES)", "28000")
    const error = makeError("MainDb", "PoolTimeout", "none free", { cause, statement: "SELECT 1" })
    expect(error).toMatchObject({ errno: 1045, sqlState: "28000", statement: "SELECT 1" })
    expect(error.cause).toMatchObject({ name: "MysqlError", errno: 1045 })
    expect(renderings(error)).not.toContain("S3CR3T")
    const inner = makeError("MainDb", "ConnectionLost", "gone")
    expect(makeError("MainDb", "CommitOutcomeUnknown", "unknown", { cause: inner }).cause).toBe(inner)
  })
})

describe("what the driver really throws", () => {
  const listen = (server: Net.Server) =>
    Effect.acquireRelease(
      Effect.async<number>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as AddressInfo).port)))
      }),
      () => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
    )

  const failureOf = (port: number, options: object = {}) =>
    Effect.async<unknown>((resume) => {
      const connection = createConnection({ host: "127.0.0.1", port, user: "u", password: "p", ...options })
      connection.on("error", (error) => {
        connection.destroy()
        resume(Effect.succeed(error))
      })
    })

  const mysql = (greet: (connection: any) => void) =>
    Effect.gen(function*() {
      const server = createServer((connection) => {
        connection.on("error", () => {})
        greet(connection)
      }) as unknown as { readonly _server: Net.Server }
      return yield* listen(server._server)
    })

  it.scoped("nobody listens", () =>
    Effect.gen(function*() {
      const port = yield* Effect.scoped(listen(Net.createServer()))
      const error = toDatabaseError("MainDb", yield* failureOf(port))
      expect(error).toMatchObject({ reason: "Unreachable", retryable: true })
      expect(error.detail).toContain("ECONNREFUSED")
    }))

  it.scoped("the server hangs up before its greeting", () =>
    Effect.gen(function*() {
      const port = yield* listen(Net.createServer((socket) => void socket.end()))
      expect(classify(yield* failureOf(port))).toEqual({ ...lost, reason: "ConnectionLost" })
    }))

  it.scoped("the server says nothing", () =>
    Effect.gen(function*() {
      const port = yield* listen(Net.createServer((socket) => void socket.on("error", () => {})))
      expect(classify(yield* failureOf(port, { connectTimeout: 50 })).reason).toBe("ConnectTimeout")
    }))

  it.scoped("too many connections", () =>
    Effect.gen(function*() {
      const port = yield* mysql((connection) => connection.writeError({ code: 1040, message: "Too many connections" }))
      expect(isTooManyConnections(yield* failureOf(port))).toBe(true)
    }))

  it.scoped("a login is refused, or TLS is not offered", () =>
    Effect.gen(function*() {
      const port = yield* mysql((connection) =>
        connection.serverHandshake({
          protocolVersion: 10,
          serverVersion: "test",
          connectionId: 1,
          statusFlags: 2,
          characterSet: 8,
          capabilityFlags: 0xffffff ^ 2048,
          authCallback: (_: unknown, done: (error: null, reply: object) => void) =>
            done(null, { code: 1045, message: "Access denied for user 'u'@'localhost'" })
        })
      )
      const refusal = toDatabaseError("MainDb", yield* failureOf(port))
      expect(refusal).toMatchObject({ reason: "LoginRefused", errno: 1045, retryable: false })
      const plain = yield* failureOf(port, { ssl: {} })
      expect(isPermanent(plain) && classify(plain).reason).toBe("Tls")
    }))
})
