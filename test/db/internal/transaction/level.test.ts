/** What a transaction makes of the order of events, which no server can be made to choose. */
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import type { Connection } from "../../../../src/db/internal/connection/connection.ts"
import type { DataSource } from "../../../../src/db/internal/dataSource.ts"
import { type Applicant, type Lease, type Outcome, unfailed } from "../../../../src/db/internal/lease.ts"
import { Level } from "../../../../src/db/internal/transaction/level.ts"
import { OpenTransaction } from "../../../../src/db/internal/transaction/openTransaction.ts"
import type { DatabaseError } from "../../../../src/Errors.ts"

const IN_TRANSACTION = 1

/** As the driver's: a class of its own tells a header from a row. */
class Header {
  readonly serverStatus = IN_TRANSACTION
}

/** A level of a transaction on a connection that accepts BEGIN, and dies when the test says so. */
const open = () => {
  const connection = {
    dead: false,
    destroy: () => {},
    run: (_: unknown, done: (error: null, result: unknown) => void) => done(null, new Header())
  }
  const dataSource = {
    name: "MainDb",
    settings: { poolTimeout: 1_000 },
    busyError: (what: string) => new Error(what),
    lend: (_: unknown, { onLease }: Applicant) => {
      onLease({ connection: connection as unknown as Connection, inTransaction: false, end: () => {} })
      return () => {}
    }
  }
  const transaction = new OpenTransaction(dataSource as unknown as DataSource, {}, Context.empty())
  const level = new Level(transaction, undefined, false)
  const lend = (): { lease?: Lease; refused?: DatabaseError } => {
    const answer: { lease?: Lease; refused?: DatabaseError } = {}
    level.lend(Context.empty(), {
      onLease: (lease) => {
        answer.lease = lease
      },
      onRefusal: (error) => {
        answer.refused = error
      }
    })
    return answer
  }
  return { connection, lend, transaction }
}

/** A procedure returned rows: the driver does not hand out the flags behind them. */
const called: Outcome = { ...unfailed(false), mayCommit: true }

describe("a connection that dies in a transaction", () => {
  it("may be tried again, if nothing can have been committed", () => {
    const { connection, lend } = open()
    lend().lease!.end({ ...unfailed(false), status: IN_TRANSACTION })
    connection.dead = true
    expect(lend().refused).toMatchObject({ reason: "TransactionAborted", retryable: true })
  })

  it("is of unknown outcome after a CALL, also for a statement that was waiting while it ran", async () => {
    const { connection, lend } = open()
    const procedure = lend()
    connection.dead = true
    const waiting = lend()
    expect(waiting).toEqual({})
    procedure.lease!.end(called)
    expect(waiting.refused).toMatchObject({ retryable: false, outcome: "unknown" })
    await Promise.resolve()
    expect(lend().refused).toMatchObject({ retryable: false, outcome: "unknown" })
  })

  it("is of unknown outcome after a statement whose reply says that no transaction is open any more", () => {
    const { connection, lend, transaction } = open()
    const { lease } = lend()
    connection.dead = true
    lease!.end({ ...unfailed(false), status: 0 })
    expect(transaction.aborted).toMatchObject({ reason: "ImplicitCommit", retryable: false, outcome: "unknown" })
    expect(lend().refused).toMatchObject({ retryable: false, outcome: "unknown" })
  })
})

describe("a statement that is refused a connection", () => {
  it("takes back nothing but its own request", () => {
    const requests: Array<{ readonly applicant: Applicant; takenBack: boolean }> = []
    const dataSource = {
      name: "MainDb",
      settings: { poolTimeout: 1_000 },
      lend: (_: unknown, applicant: Applicant) => {
        const request = { applicant, takenBack: false }
        requests.push(request)
        return () => {
          request.takenBack = true
        }
      }
    }
    const transaction = new OpenTransaction(dataSource as unknown as DataSource, {}, Context.empty())
    const level = new Level(transaction, undefined, false)
    const told: Array<string> = []
    const ask = (name: string) =>
      level.lend(Context.empty(), {
        onLease: () => told.push(`${name} has it`),
        onRefusal: ({ reason }) => told.push(`${name}: ${reason}`)
      })
    const takeBackFirst = ask("first")
    ask("second")
    requests[0]!.applicant.onRefusal({ reason: "PoolTimeout" } as DatabaseError)
    expect(told).toEqual(["first: PoolTimeout"])
    // As after every failure.
    takeBackFirst()
    expect(requests.map(({ takenBack }) => takenBack)).toEqual([false, false])
    expect(told).toEqual(["first: PoolTimeout"])
  })
})
