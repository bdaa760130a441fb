/** What the tests in test/db/faults share. The numbers in their titles are those of docs/faults.md. */
import { it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { expect } from "vitest"
import { MainDb } from "../../../src/db/Database.ts"
import { eventually } from "../eventually.ts"
import { realClock } from "../realClock.ts"
import { type Controls, PrivateServer } from "./privateServer.ts"
import { onStage, type Options, type Stage, withDatabase } from "./stage.ts"
import { server } from "./testServer.ts"

export const sleep = (seconds: number) => MainDb.use((sql) => sql`SELECT SLEEP(${seconds})`)

/** Waits until so many connections are in use. */
export const inUse = (count: number) => eventually(Effect.map(MainDb.stats, ({ active }) => expect(active).toBe(count)))

/** Opens so many connections, which are idle then. */
export const openConnections = (count: number) =>
  Effect.all(Effect.replicate(sleep(0.05), count), { concurrency: count })

type Body = (stage: Stage) => Effect.Effect<unknown, unknown, MainDb | Scope.Scope>

/** A test with an open database. */
export const fault = (name: string, options: Options, body: Body): void =>
  it.live(name, () => Effect.flatMap(server, (at) => withDatabase(at, options, body)))

/** A test that opens and closes the database itself, if it opens one. */
export const faultOnStage = (
  name: string,
  body: (stage: Stage) => Effect.Effect<unknown, unknown, Scope.Scope>
): void => it.live(name, () => Effect.flatMap(server, (at) => onStage(at, body)))

/** An empty table t (id, n). */
export const makeTable = ({ admin, database }: Stage) =>
  admin(`CREATE TABLE ${database}.t (id INT PRIMARY KEY, n INT NOT NULL DEFAULT 0) ENGINE = InnoDB`)

export const insert = (id: number) => MainDb.use((sql) => sql`INSERT INTO t (id) VALUES (${id})`)

/** The ids in the table, in order, as others see them. */
export const ids = ({ admin, database }: Stage) =>
  Effect.map(admin(`SELECT id FROM ${database}.t ORDER BY id`), (rows) => rows.map(({ id }) => id as number))

/** A test with an open database and its table t. */
export const faultWithTable = (name: string, options: Options, body: Body): void =>
  fault(name, options, (stage) => Effect.zipRight(makeTable(stage), body(stage)))

interface OnPrivateServer {
  readonly fault: (
    name: string,
    options: Options,
    body: (server: Controls, stage: Stage) => Effect.Effect<unknown, unknown, MainDb | Scope.Scope>
  ) => void
  readonly faultOnStage: (
    name: string,
    body: (server: Controls, stage: Stage) => Effect.Effect<unknown, unknown, Scope.Scope>
  ) => void
}

/** The same kinds of tests on a server of their own, which they may stop, kill and start, and whose settings they may change. */
export const onPrivateServer = (name: string, tests: (on: OnPrivateServer) => void): void =>
  layer(PrivateServer.layer, realClock)(name, (it) =>
    tests({
      fault: (title, options, body) =>
        it.effect(title, () =>
          Effect.flatMap(PrivateServer, (at) => withDatabase(at.at, options, (stage) => body(at, stage)))),
      faultOnStage: (title, body) =>
        it.effect(title, () =>
          Effect.flatMap(PrivateServer, (at) => onStage(at.at, (stage) => body(at, stage))))
    }))
