/** What every view of a database has in common: a layer over the layer of the same tag, with a lender in between. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { AnyDatabaseTag } from "../../../db/Database.ts"
import type { View } from "../../../db/internal/client.ts"
import * as Client from "../../../db/internal/client.ts"
import type { RowSink, Stopped } from "../../../db/internal/connection/connection.ts"
import type { Done, Request } from "../../../db/internal/connection/connection.ts"
import type { DataSource } from "../../../db/internal/dataSource.ts"
import type { Applicant, Lender, LentConnection } from "../../../db/internal/lease.ts"
import { ConfigurationError } from "../../../Errors.ts"

/** Several databases, at least one. */
export type DatabaseTags = readonly [AnyDatabaseTag, ...ReadonlyArray<AnyDatabaseTag>]

/** What a program requires that uses one of these databases. */
export type Requirement<Tags extends DatabaseTags> = Context.Tag.Identifier<Tags[number]>

/** A layer that puts a view in the place of the database. `name` is that of the function that makes it. */
export const layer = <Tag extends AnyDatabaseTag>(
  name: string,
  tag: Tag,
  viewOf: (dataSource: DataSource) => Effect.Effect<View, ConfigurationError, Scope.Scope>
): Layer.Layer<Context.Tag.Identifier<Tag>, ConfigurationError, Context.Tag.Identifier<Tag>> =>
  Layer.scoped(
    tag,
    Effect.flatMap(tag, (client) => {
      const dataSource = Client.dataSourceOf(client)
      if (dataSource === undefined) return Effect.fail(notOurs(name, tag.databaseName))
      return Effect.map(viewOf(dataSource), (view) => {
        const derived = Client.viewOf(client, dataSource, view)
        views.set(derived, { view, below: client })
        return derived
      })
    })
  )

const views = new WeakMap<SqlClient.SqlClient, { readonly view: View; readonly below: SqlClient.SqlClient }>()

/** The views that a client goes through, the uppermost first. */
export const viewsOf = (client: SqlClient.SqlClient): ReadonlyArray<View> => {
  const found = views.get(client)
  return found === undefined ? [] : [found.view, ...viewsOf(found.below)]
}

const notOurs = (name: string, database: string): ConfigurationError =>
  new ConfigurationError({
    service: "Testing",
    reason: "InvalidSettings",
    problems: [{
      setting: `${name}(${database})`,
      detail: `needs a client of ours, and ${database} was provided by fromSqlClient`,
      hint: "provide the database by its own layer"
    }]
  })

/** Borrows from what is below a view, with another connection in front of the one that is lent. */
export const lendThrough = (
  below: Lender,
  context: Context.Context<never>,
  applicant: Applicant,
  inFront: (connection: LentConnection) => LentConnection
): () => void =>
  below.lend(context, {
    onLease: (lease) =>
      applicant.onLease({
        connection: inFront(lease.connection),
        inTransaction: lease.inTransaction,
        end: (outcome) => lease.end(outcome)
      }),
    onRefusal: (error) => applicant.onRefusal(error)
  })

/** Passes everything on. A view overrides what it is about. */
export class ConnectionView implements LentConnection {
  readonly inner: LentConnection

  constructor(inner: LentConnection) {
    this.inner = inner
  }

  get dead(): boolean {
    return this.inner.dead
  }

  run(request: Request, done: Done): void {
    this.inner.run(request, done)
  }

  stream(request: Request, sink: RowSink): void {
    this.inner.stream(request, sink)
  }

  resume(): void {
    this.inner.resume()
  }

  stop(done: (stopped: Stopped) => void): void {
    this.inner.stop(done)
  }

  destroy(): void {
    this.inner.destroy()
  }
}

/** What the database itself, or the innermost view, has lent. */
export const innermost = (connection: LentConnection): LentConnection =>
  connection instanceof ConnectionView ? innermost(connection.inner) : connection
