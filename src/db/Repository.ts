/**
 * Rows as models of `@effect/sql`: a repository with typed errors, and data loaders that respect open transactions.
 *
 * ```ts
 * class File extends Model.Class<File>("File")({ id: Model.Generated(Schema.Number), name: Schema.String }) {}
 *
 * const files = yield* Repository.make(MainDb, File, { tableName: "files", idColumn: "id", spanPrefix: "Files" })
 * const file = yield* files.insert(File.insert.make({ name: "scan.pdf" }))
 * ```
 */
import type { Any } from "@effect/sql/Model"
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { SqlRequest, SqlResolver } from "@effect/sql/SqlResolver"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type { DurationInput } from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as RequestResolver from "effect/RequestResolver"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as Scope from "effect/Scope"
import type { DatabaseError } from "../Errors.ts"
import { type DatabaseTag, write } from "./Database.ts"
import { slotOf, withSlot } from "./internal/borrowed/transactionSlot.ts"
import * as DataLoader from "./internal/dataLoader.ts"
import { makeError } from "./internal/errors/classify.ts"
import * as Spans from "./internal/telemetry/spans.ts"
import * as TransactionContext from "./internal/transaction/transactionContext.ts"

/**
 * The rows of one table as a model. Every method works in the open transaction of its database, if there is one.
 *
 * A record that its schema refuses fails with `InvalidParameter` before anything is sent; a row that does not fit the
 * model fails with `InvalidData`. Both name the columns and show no value.
 */
export interface Repository<S extends Any, Id extends keyof S["Type"] & keyof S["update"]["Type"] & keyof S["fields"]> {
  /**
   * Inserts a record and returns the row as the database has it, both in one transaction. The row is found by the id in
   * the record; a record without one needs an id column that is AUTO_INCREMENT. Otherwise nothing is inserted, and it
   * fails with `InvalidParameter`; so it does where a trigger has changed the id.
   */
  readonly insert: (
    insert: S["insert"]["Type"]
  ) => Effect.Effect<S["Type"], DatabaseError, S["Context"] | S["insert"]["Context"]>

  /** Inserts with a single statement. */
  readonly insertVoid: (
    insert: S["insert"]["Type"]
  ) => Effect.Effect<void, DatabaseError, S["insert"]["Context"]>

  /**
   * Updates the row with the id of the record and returns the row as the database has it afterwards, both in one
   * transaction; none if no row has that id.
   */
  readonly update: (
    update: S["update"]["Type"]
  ) => Effect.Effect<Option.Option<S["Type"]>, DatabaseError, S["Context"] | S["update"]["Context"]>

  /** Updates with a single statement. Also succeeds if no row has that id; use `update` to find out. */
  readonly updateVoid: (
    update: S["update"]["Type"]
  ) => Effect.Effect<void, DatabaseError, S["update"]["Context"]>

  /** The row with that id, or none. */
  readonly findById: (
    id: Schema.Schema.Type<S["fields"][Id]>
  ) => Effect.Effect<Option.Option<S["Type"]>, DatabaseError, S["Context"] | Schema.Schema.Context<S["fields"][Id]>>

  /** Deletes the row with that id. Succeeds if there is none. */
  readonly delete: (
    id: Schema.Schema.Type<S["fields"][Id]>
  ) => Effect.Effect<void, DatabaseError, Schema.Schema.Context<S["fields"][Id]>>
}

/** What a repository needs of a database: `MainDb`, or any other tag made by `Database.Tag`. */
export type Database<Self> =
  & Context.Tag<Self, SqlClient.SqlClient>
  & Pick<DatabaseTag<Self, string>, "databaseName" | "use" | "withTransaction">

/**
 * The repository of a table of that database. Unlike `Model.makeRepository` it needs no `multiple-statements`, its
 * failures are typed, and its spans (`{spanPrefix}.insert` and so on) hold no record and no id.
 */
export const make = <
  Self,
  S extends Any,
  Id extends keyof S["Type"] & keyof S["update"]["Type"] & keyof S["fields"]
>(
  database: Database<Self>,
  model: S,
  options: { readonly tableName: string; readonly idColumn: Id; readonly spanPrefix: string }
): Effect.Effect<Repository<S, Id>, never, Self> =>
  Effect.map(database, (sql) => {
    const { spanPrefix, tableName } = options
    const idColumn = options.idColumn as string
    const name = database.databaseName
    const table = sql(tableName)
    const encoder = (schema: Schema.Schema.Any) => (value: unknown): Effect.Effect<any, DatabaseError> =>
      Effect.catchAll(
        Schema.encodeUnknown(schema as Schema.Schema.AnyNoContext)(value),
        (error) => misfit(error, name, "InvalidParameter", `the record for ${tableName} is not valid`)
      )
    const encodeInsert = encoder(model.insert)
    const encodeUpdate = encoder(model.update)
    const encodeId = encoder(model.fields[options.idColumn] as Schema.Schema.Any)
    const decode = Schema.decodeUnknown(model as unknown as Schema.Schema.AnyNoContext)

    const fields = SchemaAST.getPropertySignatures(SchemaAST.encodedAST((model as unknown as Schema.Schema.Any).ast))
    // Named, because `*` leaves invisible columns out, and brings what the model does not know.
    const columns = sql.csv(fields.map((field) => sql`${sql(String(field.name))}`))

    const find = (id: unknown) =>
      Effect.flatMap(
        sql<Record<string, unknown>>`SELECT ${columns} FROM ${table} WHERE ${sql(idColumn)} = ${id}`,
        (rows) => {
          const [row, ...more] = rows.filter((each) => isSameKey(each[idColumn], id))
          if (row === undefined) return Effect.succeedNone
          if (more.length > 0) {
            return Effect.fail(
              makeError(name, "InvalidData", `several rows of ${tableName} have the same ${idColumn}`, {
                hint: "use a column with a unique key as the id column"
              })
            )
          }
          return Effect.asSome(
            Effect.catchAll(
              decode(row),
              (error) => misfit(error, name, "InvalidData", `a row of ${tableName} does not fit its model`)
            )
          )
        }
      )

    let countsItself = false
    /** Whether the id column is the one that insertId is about. The answer yes is remembered. */
    const isAutoIncrement = Effect.suspend(() =>
      countsItself ? Effect.succeed(true) : Effect.map(
        sql<{ Extra: string }>`SHOW COLUMNS FROM ${table} WHERE Field = ${idColumn}`,
        ([column]) => countsItself = /auto_increment/i.test(column?.Extra ?? "")
      )
    )

    const insert = (record: object) => sql`INSERT INTO ${table} ${sql.insert(record as Record<string, unknown>)}`

    const update = (record: Record<string, unknown>) =>
      write(sql`UPDATE ${table} SET ${sql.update(record, [idColumn])} WHERE ${sql(idColumn)} = ${record[idColumn]}`)

    const insertAndFind = Effect.fnUntraced(function*(record: Record<string, unknown>) {
      const given = record[idColumn] ?? undefined
      if (given === undefined && !(yield* isAutoIncrement)) {
        return yield* makeError(
          name,
          "InvalidParameter",
          `the row could not be found after its insertion into ${tableName}: the record has no ${idColumn}, and that column`
            + " is not AUTO_INCREMENT",
          { hint: "put the id into the record, or use insertVoid" }
        )
      }
      const { insertId } = yield* write(insert(record))
      const found = yield* find(given ?? insertId)
      if (Option.isSome(found)) return found.value
      return yield* makeError(
        name,
        "InvalidParameter",
        `the row inserted into ${tableName} cannot be found by ${idColumn}`,
        { hint: "look for a trigger that changes the id, or use insertVoid" }
      )
    })

    /** Every method has one span, one kind of failure, and the client that the repository was made with. */
    const method = <I, A>(
      operation: string,
      transaction: boolean,
      encode: (input: I) => Effect.Effect<any, DatabaseError>,
      work: (encoded: any) => Effect.Effect<A, SqlError | DatabaseError>
    ) =>
    (input: I): Effect.Effect<A, DatabaseError> =>
      Spans.repository(
        spanPrefix,
        operation,
        Effect.provideService(
          Effect.flatMap(
            encode(input),
            (encoded) => transaction ? database.withTransaction(work(encoded)) : database.use(() => work(encoded))
          ),
          database,
          sql
        )
      )

    // Schemas run in the context of the caller; the types of the interface say what they require.
    return {
      insert: method("insert", true, encodeInsert, insertAndFind),
      insertVoid: method("insertVoid", false, encodeInsert, (record) => Effect.asVoid(insert(record))),
      update: method("update", true, encodeUpdate, (record) => Effect.zipRight(update(record), find(record[idColumn]))),
      updateVoid: method("updateVoid", false, encodeUpdate, (record) => Effect.asVoid(update(record))),
      findById: method("findById", false, encodeId, find),
      delete: method("delete", false, encodeId, (id) =>
        Effect.asVoid(sql`DELETE FROM ${table} WHERE ${sql(idColumn)} = ${id}`))
    } as Repository<S, Id>
  })

/**
 * Whether a row was found by its own id. To MySQL `5` is equal to every text that begins with it, such as `5fa1`, and a
 * text to the number that it begins with.
 */
const isSameKey = (found: unknown, id: unknown): boolean => {
  const kinds = [typeof found, typeof id]
  if (kinds[0] === kinds[1] || !kinds.some((kind) => kind === "number" || kind === "bigint")) return true
  return kinds.includes("string")
    ? Number(found) === Number(id) && String(found).trim() !== ""
    : String(found) === String(id)
}

/** The message of a ParseError quotes values. This error names the columns only. */
const misfit = (
  { issue }: ParseResult.ParseError,
  name: string,
  reason: "InvalidParameter" | "InvalidData",
  what: string
): Effect.Effect<never, DatabaseError> =>
  Effect.flatMap(ParseResult.ArrayFormatter.formatIssue(issue), (issues) => {
    const columns = [...new Set(issues.flatMap(({ path }) => path.slice(0, 1).map(String)))]
    return Effect.fail(
      makeError(name, reason, columns.length === 0 ? what : `${what} in ${columns.join(", ")}`, {
        hint: "compare it with the schema of the model"
      })
    )
  })

/**
 * Gathers the requests of many fibers into batches: those that arrive within `window`, at most `maxBatchSize` of them
 * (default: no limit). A request inside an open transaction, of any database, runs there at once, sees what that
 * transaction has written, and commits or rolls back with it. A batch that nobody waits for any more is stopped on the server.
 *
 * Its span, unlike that of `resolver.execute`, does not hold the input. When the scope closes, waiting requests are
 * interrupted.
 */
export const dataLoader = <T extends string, I, A, E, R>(
  resolver: SqlResolver<T, I, A, E, R>,
  options: { readonly window: DurationInput; readonly maxBatchSize?: number | undefined }
): Effect.Effect<(input: I) => Effect.Effect<A, E | ParseResult.ParseError, R>, never, Scope.Scope> =>
  Effect.contextWithEffect((context: Context.Context<Scope.Scope>) => {
    const outside = withSlot(context, undefined) as Context.Context<never>
    const batched = RequestResolver.provideContext(resolver, outside)
    // To Effect, resolvers with the same tag are one resolver, also of different databases: each gets its own identity.
    const self = {}
    const inside = (slot: unknown) =>
      RequestResolver.provideContext(resolver, withSlot(outside, slot)).identified(self, slot)
    const request = (input: I): Effect.Effect<SqlRequest<T, A, E>, ParseResult.ParseError, R> => resolver.request(input)
    const loader = DataLoader.make<A, E | ParseResult.ParseError, SqlRequest<T, A, E>>(batched, options)
    return Effect.map(
      loader,
      (load) => (input: I) =>
        Effect.flatMap(
          request(input),
          (made) =>
            Effect.withFiberRuntime<A, E | ParseResult.ParseError>(({ currentContext }) =>
              TransactionContext.isAnyOpen(currentContext)
                ? atOnce(made, inside(slotOf(currentContext)))
                : load(made)
            )
        ).pipe(Spans.dataLoader)
    )
  })

/** `SqlResolver.findById` answers one of several equal requests in a batch and interrupts the others. They rerun. */
const atOnce = <A, E, T extends string>(
  request: SqlRequest<T, A, E>,
  resolver: RequestResolver.RequestResolver<SqlRequest<T, A, E>>
): Effect.Effect<A, E | ParseResult.ParseError> => {
  const once = Effect.withRequestCaching(Effect.request(request, resolver), false)
  return Effect.catchAllCause(
    once,
    (cause) => Cause.isInterruptedOnly(cause) ? Effect.withRequestBatching(once, false) : Effect.failCause(cause)
  )
}
