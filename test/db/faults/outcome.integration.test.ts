/** What is known after an answer was lost or makes no sense: the principle is to fail closed. */
import { describe, expect } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { MainDb } from "../../../src/db/Database.ts"
import { connectionId } from "../../support/db/connectionId.ts"
import { reasonOf } from "../../support/db/errors.ts"
import { errorPacket, packet } from "../../support/db/faultProxy.ts"
import { fault, faultWithTable, ids, insert } from "../../support/db/faults.ts"
import { failSockets } from "../../support/db/socketFaults.ts"
import type { Stage } from "../../support/db/stage.ts"

/** Replies that no statement can have. After each, what follows must not be taken for the answer to a later statement. */
const nonsense: ReadonlyArray<readonly [string, Uint8Array]> = [
  ["a packet without content", packet(1, Buffer.from([]))],
  ["an OK that is cut short", packet(1, Buffer.from([0]))],
  ["a wrong sequence number", packet(9, Buffer.from([0, 0, 0, 2, 0, 0, 0]))],
  ["a request for a file", packet(1, Buffer.from("\xfb/etc/passwd", "latin1"))],
  ["rows without an end", Buffer.concat([packet(1, Buffer.from([1])), packet(2, Buffer.from("no column"))])]
]

/** In the packet of an execution the text of the statement is not, but its parameters are. */
const marker = "marker of a parameter"

const makeNotes = ({ admin, database }: Stage) =>
  admin(`CREATE TABLE ${database}.notes (note VARCHAR(100)) ENGINE = InnoDB`)

const write = MainDb.use((sql) => sql`INSERT INTO notes (note) VALUES (${marker})`)

const notes = ({ admin, database }: Stage) =>
  Effect.map(admin(`SELECT note FROM ${database}.notes`), (rows) => rows.length)

const withNotes = (name: string, body: (stage: Stage) => Effect.Effect<unknown, unknown, MainDb>): void =>
  fault(name, {}, (stage) => Effect.zipRight(makeNotes(stage), Effect.zipRight(connectionId, body(stage))))

describe("a statement outside of a transaction", () => {
  withNotes(
    "34 the answer to a write is lost: its outcome is unknown, and it is not retryable",
    (stage) =>
      Effect.gen(function*() {
        yield* stage.proxy.trap(marker, "lose")
        const error = yield* Effect.flip(write)
        expect(error).toMatchObject({ reason: "ConnectionLost", retryable: false, outcome: "unknown" })
        expect(error.message).toMatch(/do not repeat it blindly.*\[the work may have been done\]/)
        expect(yield* notes(stage)).toBe(1)
      })
  )

  withNotes(
    "34 a write that never reached the server is unknown too: nobody can tell",
    (stage) =>
      Effect.gen(function*() {
        yield* stage.proxy.trap(marker, "reset")
        expect(yield* Effect.flip(write)).toMatchObject({
          reason: "ConnectionLost",
          retryable: false,
          outcome: "unknown"
        })
        expect(yield* notes(stage)).toBe(0)
      })
  )

  withNotes("34 a read is safe to repeat", (stage) =>
    Effect.gen(function*() {
      yield* stage.proxy.trap(marker, "lose")
      const error = yield* Effect.flip(MainDb.use((sql) => sql`SELECT note FROM notes WHERE note = ${marker}`))
      expect(error).toMatchObject({ reason: "ConnectionLost", retryable: true })
      expect(error).not.toHaveProperty("outcome")
    }))

  withNotes("34 a streamed write is no different", (stage) =>
    Effect.gen(function*() {
      yield* stage.admin(
        `CREATE PROCEDURE ${stage.database}.keep(IN given VARCHAR(100)) INSERT INTO notes (note) VALUES (given)`
      )
      yield* stage.proxy.trap(marker, "lose")
      const error = yield* Effect.flip(
        MainDb.use((sql) => Effect.scoped(Stream.runDrain(sql`CALL keep(${marker})`.stream)))
      )
      expect(error).toMatchObject({ reason: "ConnectionLost", retryable: false, outcome: "unknown" })
    }))

  withNotes("34 an error that the server has sent leaves nothing open", (stage) =>
    Effect.gen(function*() {
      yield* stage.admin(`ALTER TABLE ${stage.database}.notes ADD UNIQUE (note)`)
      yield* write
      const error = yield* Effect.flip(write)
      expect(error).toMatchObject({ reason: "UniqueViolation" })
      expect(error).not.toHaveProperty("outcome")
    }))
})

describe("a statement in a transaction", () => {
  withNotes("34 its answer is lost: the whole is undone, and may be repeated", (stage) =>
    Effect.gen(function*() {
      yield* stage.proxy.trap(marker, "lose")
      const error = yield* Effect.flip(MainDb.withTransaction(write))
      expect(error).toMatchObject({ reason: "ConnectionLost", retryable: true })
      expect(error).not.toHaveProperty("outcome")
      yield* stage.proxy.trap(marker, "lose")
      yield* MainDb.withTransaction(write, { retries: 1 })
      expect(yield* notes(stage)).toBe(1)
    }))

  withNotes(
    "34 the answer to a CALL is lost: the procedure may have committed, so nothing is repeated",
    (stage) =>
      Effect.gen(function*() {
        yield* stage.admin(
          `CREATE PROCEDURE ${stage.database}.keep(IN given VARCHAR(100)) BEGIN INSERT INTO notes (note) VALUES (given); COMMIT; END`
        )
        let attempts = 0
        yield* stage.proxy.trap(marker, "lose")
        const error = yield* Effect.flip(MainDb.withTransaction(
          Effect.zipRight(Effect.sync(() => ++attempts), MainDb.use((sql) => sql`CALL keep(${marker})`)),
          { retries: 3 }
        ))
        expect(error).toMatchObject({ reason: "ConnectionLost", retryable: false, outcome: "unknown" })
        expect(attempts).toBe(1)
        expect(yield* notes(stage)).toBe(1)
      })
  )
})

/** Runs one transaction whose COMMIT is met by that fault; how often its body ran, and its failure. */
const commitMeets = (set: Effect.Effect<void>) =>
  Effect.gen(function*() {
    let attempts = 0
    const body = Effect.gen(function*() {
      attempts++
      yield* insert(attempts)
      if (attempts === 1) yield* set
    })
    const error = yield* Effect.flip(MainDb.withTransaction(body, { retries: 3 })).pipe(
      Effect.catchAll(() => Effect.succeed(undefined))
    )
    return { attempts, error }
  })

describe("COMMIT", () => {
  for (
    const [code, errno] of [
      ["EHOSTUNREACH", -113],
      ["ENETUNREACH", -101],
      ["ENETDOWN", -100],
      ["EPROTO", -71],
      ["ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", undefined],
      ["ECONNRESET", -104],
      ["ESOMETHINGNEW", -999]
    ] as const
  ) {
    faultWithTable(
      `35 is met by ${code}: its outcome is unknown, and the body does not run again`,
      {},
      (stage) =>
        Effect.gen(function*() {
          yield* Effect.scoped(Effect.gen(function*() {
            const arm = yield* failSockets("COMMIT", Object.assign(new Error(`write ${code}`), { code, errno }))
            const { attempts, error } = yield* commitMeets(arm)
            expect(error).toMatchObject({ reason: "CommitOutcomeUnknown", retryable: false, outcome: "unknown" })
            expect(attempts).toBe(1)
          }))
          expect((yield* ids(stage)).length).toBeLessThanOrEqual(1)
        })
    )
  }

  for (
    const [errno, state] of [[1317, "70100"], [1053, "08S01"], [1105, "HY000"], [1180, "HY000"], [
      60001,
      "HY000"
    ]] as const
  ) {
    faultWithTable(
      `35 is answered by ${errno}, which does not say that it was rolled back: unknown`,
      {},
      (stage) =>
        Effect.gen(function*() {
          const { attempts, error } = yield* commitMeets(stage.proxy.trap("COMMIT", errorPacket(errno, state, "odd")))
          expect(error).toMatchObject({ reason: "CommitOutcomeUnknown", retryable: false, outcome: "unknown" })
          expect(attempts).toBe(1)
          // The server has committed in spite of its answer.
          expect(yield* ids(stage)).toEqual([1])
        })
    )
  }

  for (const [what, bytes] of nonsense) {
    faultWithTable(`35 is answered by ${what}: unknown`, {}, (stage) =>
      Effect.gen(function*() {
        const { attempts, error } = yield* commitMeets(stage.proxy.trap("COMMIT", bytes))
        expect(error).toMatchObject({ reason: "CommitOutcomeUnknown", retryable: false, outcome: "unknown" })
        expect(attempts).toBe(1)
      }))
  }
})

describe("an answer that makes no sense", () => {
  for (const [what, bytes] of nonsense) {
    faultWithTable(
      `38 ${what}: no later statement gets another one's answer`,
      { poolSize: 1, maxOverflow: 0 },
      (stage) =>
        Effect.gen(function*() {
          yield* insert(1)
          yield* connectionId
          yield* stage.proxy.trap("SELECT 'trapped'", bytes)
          yield* Effect.exit(MainDb.use((sql) => sql`SELECT 'trapped' AS answer`.unprepared))
          for (let i = 0; i < 5; i++) {
            expect(yield* reasonOf(insert(1))).toBe("UniqueViolation")
            expect(yield* MainDb.use((sql) => sql`SELECT ${i} AS answer`)).toMatchObject([{ answer: i }])
          }
          expect(yield* ids(stage)).toEqual([1])
        })
    )
  }
})

describe("an error that nobody knows", () => {
  faultWithTable(
    "39 1206 rolls everything back: nothing more runs in that transaction",
    {},
    (stage) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(MainDb.withTransaction(Effect.gen(function*() {
          yield* insert(1)
          yield* stage.proxy.trap(
            "INSERT INTO t (id) VALUES (2)",
            errorPacket(1206, "HY000", "The total number of locks")
          )
          yield* Effect.ignore(MainDb.use((sql) => sql.unsafe("INSERT INTO t (id) VALUES (2)").unprepared))
          yield* insert(3)
        })))
        expect(error).toMatchObject({ reason: "TransactionAborted", retryable: false })
        expect(yield* ids(stage)).toEqual([])
      })
  )

  faultWithTable(
    "39 an unlisted error that kept the transaction: the server is asked, and the rest goes on",
    {},
    (stage) =>
      Effect.gen(function*() {
        yield* MainDb.withTransaction(Effect.gen(function*() {
          yield* insert(1)
          yield* stage.proxy.trap("INSERT INTO t (id) VALUES (1)", errorPacket(60001, "HY000", "odd"))
          yield* Effect.ignore(MainDb.use((sql) => sql.unsafe("INSERT INTO t (id) VALUES (1)").unprepared))
          yield* insert(3)
        }))
        expect(yield* ids(stage)).toEqual([1, 3])
        // What the error has left behind in that session is not known, so nobody gets it again.
        expect(yield* MainDb.stats).toMatchObject({ discarded: { broken: 1 } })
      })
  )

  faultWithTable(
    "39 an unlisted error that ended the transaction: nothing more runs in it",
    {},
    (stage) =>
      Effect.gen(function*() {
        yield* stage.admin(
          `CREATE TRIGGER ${stage.database}.odd BEFORE UPDATE ON ${stage.database}.t FOR EACH ROW SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 60001`
        )
        yield* stage.admin(
          `CREATE PROCEDURE ${stage.database}.undone() BEGIN ROLLBACK; INSERT INTO t (id) VALUES (7); UPDATE t SET n = 1; END`
        )
        const error = yield* Effect.flip(MainDb.withTransaction(Effect.gen(function*() {
          yield* insert(1)
          yield* Effect.ignore(MainDb.use((sql) => sql`CALL undone()`))
          yield* insert(3)
        })))
        expect(error).toMatchObject({ reason: "TransactionAborted", retryable: false, outcome: "unknown" })
        expect(yield* ids(stage)).toEqual([7])
      })
  )
})
