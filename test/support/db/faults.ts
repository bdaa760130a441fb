/** What the tests of faults do again and again. */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { expect } from "vitest"
import { MainDb } from "../../../src/db/Database.ts"
import { server } from "./testServer.ts"
import { eventually, onStage, type Options, type Stage, withDatabase } from "./stage.ts"

export const connectionId = MainDb.use((sql) => sql<{ id: number }>`SELECT CONNECTION_ID() AS id`).pipe(
  Effect.map(([row]) => row!.id)
)
export const sleep = (seconds: number) => MainDb.use((sql) => sql`SELECT SLEEP(${seconds})`)
export const insert = (id: number) => MainDb.use((sql) => sql`INSERT INTO t (id) VALUES (${id})`)

type Body = (stage: Stage) => Effect.Effect<unknown, unknown, MainDb | Scope.Scope>

/** A test with an open database. */
export const fault = (name: string, options: Options, body: Body) =>
  it.live(name, () => Effect.flatMap(server, (at) => withDatabase(at, options, body)))

/** A test with an empty table t (id, n). */
export const faultWithTable = (name: string, options: Options, body: Body) =>
  fault(name, options, (stage) =>
    Effect.zipRight(
      stage.admin(`CREATE TABLE ${stage.database}.t (id INT PRIMARY KEY, n INT NOT NULL DEFAULT 0) ENGINE = InnoDB`),
      body(stage)
    ))

/** A test that opens and closes the database itself. */
export const ending = (name: string, body: (stage: Stage) => Effect.Effect<unknown, unknown, Scope.Scope>) =>
  it.live(name, () => Effect.flatMap(server, (at) => onStage(at, body)))

export const ids = ({ admin, database }: Stage) =>
  Effect.map(admin(`SELECT id FROM ${database}.t ORDER BY id`), (rows) => rows.map(({ id }) => id as number))

export const inUse = (count: number) => eventually(Effect.map(MainDb.stats, ({ active }) => expect(active).toBe(count)))
