/**
 * The two clients on which each package is tried: ours by `toSqlClient`, and upstream's own as the control, on the same
 * server. What passes there must pass here.
 */
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import type * as SqlClient from "@effect/sql/SqlClient"
import { layer } from "@effect/vitest"
import type * as Vitest from "@effect/vitest"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { describe } from "vitest"
import { MainDb } from "../../src/db/Database.ts"
import { freshDatabase } from "../support/db/testServer.ts"
import { realClock } from "../support/realClock.ts"

export type Client = SqlClient.SqlClient | MysqlClient.MysqlClient

/** A database of the file, and the client under test on it. */
export class Subject extends Context.Tag("test/Subject")<Subject, {
  /** One more client of the same kind, with connections of its own: another process, as far as the server can tell. */
  readonly another: Layer.Layer<Client>
}>() {}

const clients: Readonly<Record<string, (url: string) => Layer.Layer<Client>>> = {
  "MainDb.toSqlClient": (url) =>
    Layer.orDie(
      Layer.provide(
        MainDb.toSqlClient,
        MainDb.layerConfig(Config.succeed({ url: Redacted.make(url), poolSize: 4, maxOverflow: 6 }))
      )
    ),
  "@effect/sql-mysql2": (url) => Layer.orDie(MysqlClient.layer({ url: Redacted.make(url) }))
}

/** The tests of a package, on both clients. */
export const onBoth = (
  name: string,
  tests: (it: Vitest.Vitest.MethodsNonLive<Client | Subject, true>) => void
): void => {
  for (const [client, clientOf] of Object.entries(clients)) {
    const subject = Layer.unwrapScoped(Effect.map(freshDatabase("ecosystem"), (url) =>
      Layer.merge(
        Layer.fresh(clientOf(url)),
        Layer.succeed(Subject, { another: Layer.fresh(clientOf(url)) })
      )))
    describe(`${name} on ${client}`, () => layer(subject, realClock)((it) => tests(it)))
  }
}
