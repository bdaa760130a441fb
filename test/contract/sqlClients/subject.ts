/** A client under observation, and what is needed to observe it. */
import type { SqlClient } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import type { Statement } from "@effect/sql/Statement"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { expect } from "vitest"
import type { Thread } from "../../support/db/admin.ts"
import * as FaultProxy from "../../support/db/faultProxy.ts"
import { admin, freshDatabase, server, threadsOf } from "../../support/db/testServer.ts"
import { eventually } from "../../support/eventually.ts"

/** How a client is to be opened. It follows this as far as it has settings for it. Times in milliseconds. */
export interface Target {
  readonly url: string
  /** The most connections at a time; all of them may stay open when idle. Default 4. */
  readonly connections?: number
  /** Whether it must be opened by its URL alone. Default: in the way that gives it most settings. */
  readonly byUrl?: boolean
  /** Whether everything not named here keeps the default of the client, also the number of idle connections. */
  readonly plain?: boolean
  readonly connectTimeout?: number
  readonly acquireTimeout?: number
  readonly lifetime?: number
  readonly pingAlways?: boolean
  readonly isolation?: "READ COMMITTED" | "SERIALIZABLE"
  /** Whether dates are the text of the server. */
  readonly datesAsText?: boolean
}

/** A row of the table `records`. */
export interface Record {
  readonly id: number
  readonly mark: string
}

export interface Loaders {
  readonly find: (id: number) => Effect.Effect<Option.Option<Record>, unknown>
  readonly insert: (record: Record) => Effect.Effect<void, unknown>
}

export interface Subject {
  readonly name: string
  /** Whether the rows must find the defect. */
  readonly expectDefect: boolean
  readonly make: (target: Target) => Effect.Effect<SqlClient, unknown, Scope.Scope>
  /** The client's data loaders for the table `records`. */
  readonly loaders: (sql: SqlClient) => Effect.Effect<Loaders, unknown, Scope.Scope>
  /** What the client reports about an INSERT. */
  readonly write: (statement: Statement<unknown>) => Effect.Effect<unknown, unknown>
  /** How long opening a client may take, in milliseconds: as set, or as it promises. */
  readonly connectTimeout: number
}

export interface Row {
  /** In a few words, what goes wrong. */
  readonly defect: string
  readonly observe: (subject: Subject) => Effect.Effect<unknown, unknown, Scope.Scope>
  /** What is observed when it does not go wrong. */
  readonly sound: unknown
}

/** A client on a database of its own, which has the table `records`. */
export interface Client {
  readonly sql: SqlClient
  readonly database: string
  /** The ids in `records`, in order, as other connections see them. */
  readonly ids: Effect.Effect<ReadonlyArray<number>>
  /** The threads of the server that are connected to the database. */
  readonly threads: Effect.Effect<ReadonlyArray<Thread>>
  /** Between the client and the server. */
  readonly proxy: FaultProxy.FaultProxy
}

export const open = (
  subject: Subject,
  options: Omit<Target, "url"> = {}
): Effect.Effect<Client, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const { database, proxy, threads, url } = yield* place
    const sql = yield* subject.make({ url, ...options })
    // A client that hangs does not end by itself, and none of its connections may stay.
    if (subject.expectDefect) {
      const kill = (id: number) => Effect.ignore(Effect.sandbox(admin(`KILL ${id}`)))
      yield* Effect.addFinalizer(() => Effect.flatMap(threads, (all) => Effect.forEach(all, ({ id }) => kill(id))))
    }
    const ids = Effect.map(
      admin<{ id: number }>("SELECT id FROM records ORDER BY id", { database }),
      (rows) => rows.map(({ id }) => id)
    )
    return { sql, database, ids, threads, proxy }
  })

/** A fresh database with the table, behind a proxy of its own. At the end of the scope nobody may be connected to it. */
export const place = Effect.gen(function*() {
  const direct = yield* freshDatabase("defect")
  const database = new URL(direct).pathname.slice(1)
  yield* admin("CREATE TABLE records (id INT PRIMARY KEY, mark VARCHAR(60) NOT NULL)", { database })
  const proxy = yield* FaultProxy.make(yield* server)
  const threads = threadsOf(database)
  yield* Effect.addFinalizer(() =>
    eventually(Effect.map(threads, (left) => expect(left, "connections that outlived their client").toEqual([])))
  )
  return { database, proxy, threads, url: proxy.through(direct) }
})

export const pair = (subject: Subject): Effect.Effect<readonly [Client, Client], unknown, Scope.Scope> =>
  Effect.all([open(subject), open(subject)])

export const insert = (sql: SqlClient, id: number) => sql`INSERT INTO records ${sql.insert({ id, mark: "x" })}`

/** How an effect ended: `failure` is typed, `defect` is not, `hung` is no end within the limit. */
export interface End<A> {
  readonly how: "success" | "failure" | "defect" | "interruption" | "hung"
  readonly took: number
  readonly value?: A
  readonly error?: unknown
}

/** Runs an effect and waits for its end, up to the limit even if it cannot be interrupted. `limit` in milliseconds. */
export const endOf = <A, E, R>(effect: Effect.Effect<A, E, R>, limit = 4_000): Effect.Effect<End<A>, never, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    const ended = (end: Omit<End<A>, "took">): End<A> => ({ ...end, took: Math.round(performance.now() - start) })
    return Effect.exit(effect).pipe(
      Effect.disconnect,
      Effect.timeoutTo({
        duration: limit,
        onSuccess: (exit) => {
          if (Exit.isSuccess(exit)) return ended({ how: "success", value: exit.value })
          const { cause } = exit
          if (Cause.isInterruptedOnly(cause)) return ended({ how: "interruption" })
          const how = Cause.isDie(cause) ? "defect" : "failure"
          return ended({ how, error: nameOf(Cause.squash(cause)) })
        },
        onTimeout: () => ended({ how: "hung" })
      })
    )
  })

const nameOf = (error: unknown): unknown =>
  error instanceof SqlError ? "SqlError" : error instanceof Error ? `${error.name}: ${error.message}` : error

/** The part of an end that is the same in every run. */
export const howOf = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  limit?: number
): Effect.Effect<End<A>["how"], never, R> => Effect.map(endOf(effect, limit), ({ how }) => how)

/** A number of milliseconds under the limit, or a count. */
export const below = (limit: number) => ({
  asymmetricMatch: (seen: unknown): boolean => typeof seen === "number" && seen < limit,
  toString: () => `a number below ${limit}`
})

export const atLeast = (least: number) => ({
  asymmetricMatch: (seen: unknown): boolean => typeof seen === "number" && seen >= least,
  toString: () => `a number from ${least}`
})
