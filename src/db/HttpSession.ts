/**
 * A session for each request of an HTTP server: a transaction of each of its databases, which begins with the first
 * statement and is committed before the response is sent.
 *
 * ```ts
 * const app = HttpRouter.empty.pipe(
 *   HttpRouter.post("/orders", createOrder),
 *   HttpRouter.use(HttpSession.make(MainDb))
 * )
 * ```
 *
 * A request that sends no statement borrows no connection. The work is rolled back if the handler fails, dies or is
 * interrupted, if the client goes away, and if the status of the response is 400 or above ({@link keep} makes an
 * exception). If COMMIT fails, or nobody knows whether it was carried out, the answer is an error.
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import type * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type { SqlError } from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { ConfigurationError, ServiceError } from "../Errors.ts"
import { DatabaseError } from "../Errors.ts"
import type { DatabaseTag } from "./Database.ts"
import { inContext } from "./internal/borrowed/fiberState.ts"
import { Conflict, Failed, OutcomeUnknown, ownError, Unavailable } from "./internal/http/errors.ts"
import * as Marks from "./internal/http/marks.ts"
import { refuseServerMiddleware } from "./internal/http/place.ts"
import * as Session from "./internal/http/session.ts"
import { withoutSessions } from "./internal/transaction/transactionContext.ts"

export { Conflict, Failed, OutcomeUnknown, Unavailable }

/** How a session behaves. */
export interface HttpSessionOptions {
  /** Which responses roll back. Default: those with a status of 400 or above. */
  readonly rollbackOn?: ((response: HttpServerResponse.HttpServerResponse) => boolean) | undefined
}

/** What a session answers by itself: the errors of this package, and the `SqlError` that a plain client fails with. */
export type AnyError = SqlError | ConfigurationError | DatabaseError | ServiceError

/**
 * Puts a session around handlers. Errors of this package become responses there, so they leave the error channel; all
 * others roll back and go on.
 */
export interface HttpSession<Databases> {
  <E, R>(
    app: HttpApp.Default<E, R>
  ): HttpApp.Default<Exclude<E, AnyError>, R | Databases>

  /**
   * The session as `HttpApiBuilder.middleware` and `HttpLayerRouter.middleware` take it: over the databases of the layer
   * in which it is used.
   */
  readonly bound: Effect.Effect<BoundSession, never, Databases>
}

/** A session that has its databases already. The two signatures are those of the two doors. */
export interface BoundSession {
  (app: HttpApp.Default): HttpApp.Default
  (
    app: Effect.Effect<HttpServerResponse.HttpServerResponse, HttpLayerRouter.unhandled>
  ): HttpApp.Default<HttpLayerRouter.unhandled>
}

/** Any tag made by `Database.Tag`. */
export type AnyDatabase = DatabaseTag<any, string>

/**
 * A session over these databases. For `HttpRouter.use(session)`, `HttpApiBuilder.middleware(session.bound)` and
 * `HttpLayerRouter.middleware(session.bound)`, and around a single handler or app. A middleware of the server itself
 * (`HttpServer.serve(app, middleware)` and its like) would commit after the response has been sent: there it throws when
 * the server starts, and what gets past that is answered with 500 and rolled back.
 *
 * Several databases are committed one after the other, in the order given. If a later COMMIT fails, the earlier ones stay,
 * and the answer is an {@link OutcomeUnknown}: what must happen together belongs into one database, or into its outbox.
 */
export const make = <const Databases extends ReadonlyArray<AnyDatabase>>(
  ...databases: Databases
): HttpSession<Context.Tag.Identifier<Databases[number]>> => makeWith({}, ...databases)

/** The same, with options. */
export const makeWith = <const Databases extends ReadonlyArray<AnyDatabase>>(
  options: HttpSessionOptions,
  ...databases: Databases
): HttpSession<Context.Tag.Identifier<Databases[number]>> => {
  const { rollbackOn = isError } = options
  type All = Context.Tag.Identifier<Databases[number]>
  const around =
    (inRouter: boolean) => <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<Exclude<E, AnyError>, R | All> => {
      refuseServerMiddleware()
      return Session.run(databases, rollbackOn, app, inRouter)
    }
  const inRouter = around(true)
  const bound: HttpSession<All>["bound"] = Effect.map(Effect.context<All>(), (context) => {
    const own = Context.pick(...databases)(context) as Context.Context<never>
    return ((app: HttpApp.Default) =>
      Effect.mapInputContext(
        inRouter(app),
        (request: Context.Context<any>) => Context.merge(own, request)
      )) as BoundSession
  })
  return Object.assign(around(false), { bound })
}

const isError = ({ status }: HttpServerResponse.HttpServerResponse): boolean => status >= 400

/**
 * Commits what was done for this response, whatever its status: for a 401 whose counter of failed logins must stay. Only
 * that counter, in the middle of other work, is `MainDb.outside`.
 */
export const keep: (response: HttpServerResponse.HttpServerResponse) => HttpServerResponse.HttpServerResponse =
  Marks.keep

/**
 * Says that the body of this response, a stream, may be made after the commit, outside of the session: its statements
 * run on connections of the pool, each by itself. Without it, a streamed response of a request that has used its session is
 * answered with 500, because the transaction is over when the body is sent.
 */
export const afterCommit: (response: HttpServerResponse.HttpServerResponse) => HttpServerResponse.HttpServerResponse =
  Marks.afterCommit

/** Runs a handler, or a part of it, without the session: each statement is committed by itself. */
export const none = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  inContext(effect, withoutSessions)

/** What a route answers with 409. */
export interface ConflictOptions {
  /** The keys that the route means, as `DatabaseError.constraint` names them. Default: every key. */
  readonly constraint?: string | ReadonlyArray<string> | undefined
  /** What the client is told. Default: "This is there already." */
  readonly message?: string | undefined
}

/** Turns a violation of a unique key (`UniqueViolation`) into a {@link Conflict}, which is a 409 and rolls back. */
export const conflict = (
  { constraint, message = "This is there already." }: ConflictOptions = {}
): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Conflict, R> => {
  const constraints = typeof constraint === "string" ? [constraint] : constraint
  return Effect.catchAll((error) => {
    const own = ownError(error)
    const isMeant = own instanceof DatabaseError && own.reason === "UniqueViolation"
      && (constraints === undefined || (own.constraint !== undefined && constraints.includes(own.constraint)))
    return Effect.fail(isMeant ? new Conflict({ message }) : error)
  })
}
