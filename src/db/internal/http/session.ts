/** The session of one request: a transaction of each of its databases, ended before the response is sent. */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerRespondable from "@effect/platform/HttpServerRespondable"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Tracer from "effect/Tracer"
import type { DatabaseError } from "../../../Errors.ts"
import { copyOf } from "../../../internal/copyOf.ts"
import { interruptible } from "../../../internal/effectPrimitives.ts"
import type { InfrastructureError } from "../../../internal/infrastructureError.ts"
import type { DatabaseTag } from "../../Database.ts"
import type { Setting } from "../borrowed/fiberState.ts"
import { exitWith } from "../borrowed/fiberState.ts"
import { putTransactions } from "../borrowed/transactionSlot.ts"
import * as Client from "../client.ts"
import { Level } from "../transaction/level.ts"
import { lenderOf } from "../transaction/transaction.ts"
import * as TransactionContext from "../transaction/transactionContext.ts"
import { notDecoded, pathsOf, watched } from "./body.ts"
import { isEncodeFailure, saysEncodeFailure } from "./encodeFailure.ts"
import { answerTo, failed, isRetryable, ownErrorOf, unknown } from "./errors.ts"
import * as Marks from "./marks.ts"
import type { Watcher } from "./request.ts"
import { isAppByItself, isOfRequest, watch } from "./request.ts"
import { SessionTransactions } from "./transactions.ts"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

/** Whether the work of a request that is answered with this response is rolled back. */
export type RollbackOn = (response: Response) => boolean

/** Runs a request in a session. `inRouter`: a router decides whether the app may be interrupted. */
export const run = <E, R>(
  databases: ReadonlyArray<DatabaseTag<any, string>>,
  rollbackOn: RollbackOn,
  app: HttpApp.Default<E, R>,
  inRouter: boolean
): HttpApp.Default<Exclude<E, SqlError | InfrastructureError>, R> =>
  exitWith((fiber, restore) => {
    const context = fiber.currentContext as Context.Context<any>
    const session = new Session(context, rollbackOn)
    const body = session.around(databases, app) as Effect.Effect<Response, E | DatabaseError>
    return {
      context: session.inner,
      body: !inRouter && isAppByItself(app, context) ? interruptible(body) : restore(body),
      end: (exit: Exit.Exit<Response, E | DatabaseError>) => session.conclude(exit),
      // Within a route no response is sent.
      setting: context.unsafeMap.has(HttpRouter.RouteContext.key) ? undefined : session
    }
  })

/**
 * What a response does to the work of its request. `refuse`: the success of an endpoint does not fit its schema; `stream`: its
 * body is made after the commit, and the handler has not said that it may be.
 */
type Verdict = "commit" | "roll back" | "refuse" | "stream"

/** What fails a transaction that the response rolls back. */
class Veto {
  readonly response: Response
  constructor(response: Response) {
    this.response = response
  }
}

/** The session around this one. A part of a request may have been given a request of its own. */
class Enclosing extends Context.Tag("@betterai/infrastructure/HttpSession/Enclosing")<Enclosing, Session>() {}

const WRONG_PLACE =
  "the response would be sent before the commit, so the request was refused. A middleware of the server "
  + "(HttpServer.serve, HttpApiBuilder.serve, HttpLayerRouter.serve) is too far out: use HttpRouter.use, "
  + "HttpApiBuilder.middleware or HttpLayerRouter.middleware"

const STREAMS =
  "the response streams its body, which is made after the commit, and the request has used its session, so it "
  + "was refused. Read the rows first, or say HttpSession.afterCommit(response): then the body runs outside of the session"

const NOT_ENCODED = "the success of an endpoint does not fit its schema"

class Session implements Setting<Option.Option<HttpApp.PreResponseHandler>>, Watcher {
  readonly #context: Context.Context<any>
  readonly #request: Request
  /** Those that were made of it. */
  #requests: ReadonlyArray<Request> = []
  readonly #rollbackOn: RollbackOn
  /** Those that are ours to end. */
  readonly #transactions: SessionTransactions
  /** Some transaction is not ours to end: it was committed, or rolled back, when the body ended. */
  #isPart = false
  #verdict: Verdict | undefined
  #ended = false
  /** Something of the request was committed: nobody may be told that nothing was done. */
  #partly = false
  /** Done when COMMIT before a WebSocket is. */
  #upgrade: Deferred.Deferred<void> | undefined
  /** What is answered if the session has ended before the body. */
  #answer: Response | undefined

  constructor(context: Context.Context<any>, rollbackOn: RollbackOn) {
    this.#context = context
    this.#request = Context.unsafeGet(context, HttpServerRequest.HttpServerRequest)
    this.#rollbackOn = rollbackOn
    this.#transactions = new SessionTransactions(context)
  }

  /** The app in transactions of these databases: those of the session, or others that it can only be a part of. */
  around<E, R>(
    databases: ReadonlyArray<DatabaseTag<any, string>>,
    app: HttpApp.Default<E, R>
  ): HttpApp.Default<E | DatabaseError, R> {
    let body: HttpApp.Default<E | DatabaseError, R> = app
    for (const database of databases) {
      const dataSource = Client.dataSourceOf(Context.unsafeGet(this.#context, database))
      const lender = dataSource === undefined ? undefined : lenderOf(dataSource, this.#context)
      if (dataSource !== undefined && lender === dataSource) {
        this.#transactions.add(dataSource)
      } else if (!(lender instanceof Level && lender.transaction.isSession)) {
        body = this.#inTransaction(database, body)
        this.#isPart = true
      }
    }
    return body
  }

  /** The context of the body: its request ends the session before it becomes a WebSocket. */
  get inner(): Context.Context<never> {
    const services = copyOf(this.#context.unsafeMap)
      .set(HttpServerRequest.HttpServerRequest.key, watch(this.#request, this))
      .set(Enclosing.key, this)
    if (!this.#transactions.isEmpty) putTransactions(services, this.#transactions)
    return Context.unsafeMake(services)
  }

  /** For a database of another client, and in an open transaction, which a session can only be a part of. */
  #inTransaction<E, R>(
    database: DatabaseTag<any, string>,
    body: Effect.Effect<Response, E, R>
  ): Effect.Effect<Response, E | DatabaseError, R> {
    const vetoed = Effect.flatMap(
      body,
      (response): Effect.Effect<Response, Veto> =>
        this.#judge(response) === "commit" ? Effect.succeed(response) : Effect.fail(new Veto(response))
    )
    const marked = Effect.mapInputContext(
      vetoed,
      (inner: Context.Context<R>) => TransactionContext.asSessions(inner, this.#context)
    )
    return Effect.matchEffect(database.withTransaction(marked), {
      onFailure: (error) =>
        error instanceof Veto ? Effect.succeed(error.response) : Effect.fail(error as E | DatabaseError),
      onSuccess: (response) => {
        this.#noteCommit()
        return Effect.succeed(response)
      }
    }) as Effect.Effect<Response, E | DatabaseError, R>
  }

  /** Once: `rollbackOn` is the caller's. */
  #judge(response: Response): Verdict {
    return this.#verdict ??= saysEncodeFailure(response)
      ? "refuse"
      : Marks.isRefused(response) || (!Marks.isKept(response) && this.#rollbackOn(response))
      ? "roll back"
      : Marks.isStreamed(response) && !Marks.isAfterCommit(response)
      ? "stream"
      : "commit"
  }

  /** Ends the session as its body did, and gives the response. Must run in an uninterruptible region. */
  conclude<E>(exit: Exit.Exit<Response, E>): Effect.Effect<Response, any> {
    if (this.#ended) {
      return Effect.flatMap(
        Effect.exit(this.#whenUpgraded()),
        () =>
          this.#answer !== undefined
            ? Effect.succeed(this.#answer)
            : Exit.map(exit, (response) => this.#watched(response))
      )
    }
    this.#ended = true
    if (Exit.isFailure(exit)) return this.#fail(exit.cause)
    const response = exit.value
    let verdict: Verdict
    let outlives: boolean
    try {
      verdict = this.#judge(response)
      // Asked before the end: what still runs of the handler may use the session meanwhile.
      outlives = Marks.isStreamed(response) && (Marks.isAfterCommit(response) || !this.#isUsed)
    } catch (defect) {
      return this.#fail(Cause.die(defect))
    }
    const sent = (): Response => outlives ? this.#streamed(response) : response
    if (verdict === "refuse") return Effect.zipRight(this.#transactions.rollBack(), this.#refuse(NOT_ENCODED))
    if (verdict === "roll back") return Effect.map(this.#transactions.rollBack(), sent)
    if (verdict === "stream" && !outlives) return Effect.zipRight(this.#transactions.rollBack(), this.#refuse(STREAMS))
    if (this.#transactions.endUnused()) return outlives ? Effect.succeed(sent()) : exit
    return Effect.flatMap(
      this.#commit(),
      (failure) => failure === undefined ? Effect.succeed(sent()) : this.#answerTo(failure)
    )
  }

  #commit(): Effect.Effect<DatabaseError | undefined> {
    return this.#transactions.commit(() => this.#noteCommit())
  }

  #fail<E>(cause: Cause.Cause<E>): Effect.Effect<Response, unknown> {
    return Effect.zipRight(this.#transactions.rollBack(), this.#answerToCause(cause))
  }

  get ref(): typeof HttpApp.currentPreResponseHandlers {
    return HttpApp.currentPreResponseHandlers
  }

  /** What the platform calls before it sends a response, after those that want to be called before. */
  value(outer: Option.Option<HttpApp.PreResponseHandler>): Option.Option<HttpApp.PreResponseHandler> {
    return Option.some((request, response) =>
      Option.isNone(outer)
        ? this.#beforeResponse(request, response)
        : Effect.flatMap(outer.value(request, response), (response) => this.#beforeResponse(request, response))
    )
  }

  /** If the body has not ended when its response is sent, the session is in the wrong place. */
  #beforeResponse(request: Request, response: Response): Effect.Effect<Response> {
    if (this.#ended || request.source !== this.#request.source) return Effect.succeed(response)
    this.#ended = true
    return Effect.uninterruptible(Effect.zipRight(this.#transactions.rollBack(), this.#refuse(WRONG_PLACE)))
  }

  /** A socket can live for days: what was done before is committed, and then the handler has no session any more. */
  beforeUpgrade(): Effect.Effect<void> {
    return Effect.uninterruptible(Effect.suspend(() => {
      if (this.#ended) return this.#whenUpgraded()
      this.#ended = true
      const upgrade = this.#upgrade = Deferred.unsafeMake<void>(FiberId.none)
      // Outside of the session, which is what effects of `afterCommit` see.
      return Effect.flatMap(Effect.mapInputContext(this.#commit(), () => this.#context), (failure) => {
        if (failure === undefined) {
          this.#transactions.detach()
          return Deferred.succeed(upgrade, undefined)
        }
        // What goes on all the same must not commit by itself: its statements are refused.
        return Effect.flatMap(this.#answerTo(failure), (answer) => {
          this.#answer = answer
          Deferred.unsafeDone(upgrade, Exit.die(failure))
          return Effect.die(failure)
        })
      })
    }))
  }

  #whenUpgraded(): Effect.Effect<void> {
    return this.#upgrade === undefined ? Effect.void : Deferred.await(this.#upgrade)
  }

  get #isUsed(): boolean {
    return this.#isPart || this.#transactions.areUsed
  }

  /** The body is made outside of the session. */
  #streamed(response: Response): Response {
    this.#transactions.detach()
    return this.#watched(response)
  }

  #watched(response: Response): Response {
    return watched(response, this.#request, (line) => this.#log(line))
  }

  #answerToCause(cause: Cause.Cause<unknown>): Effect.Effect<Response, unknown> {
    const error = ownErrorOf(cause)
    if (error !== undefined) return this.#answerTo(error)
    const [failure] = Cause.failures(cause)
    if (Cause.isDie(cause)) return Effect.failCause(cause)
    if (isEncodeFailure(failure)) return this.#refuse(`${NOT_ENCODED}: ${pathsOf(failure.issues)}`)
    return this.#isUsed && ParseResult.isParseError(failure) &&
        !isOfRequest(failure, this.#context, [this.#request, ...this.#requests])
      ? this.#refuse(notDecoded(failure))
      : Effect.failCause(cause)
  }

  #answerTo(error: InfrastructureError): Effect.Effect<Response> {
    const log = isRetryable(error) ? Effect.logWarning : Effect.logError
    return Effect.zipRight(
      this.#log(log("HttpSession: a request failed", Cause.fail(error))),
      this.#respond(answerTo(error, this.#partly))
    )
  }

  #refuse(why: string): Effect.Effect<Response> {
    return Effect.zipRight(
      this.#log(Effect.logError(`HttpSession: ${why}`)),
      this.#respond(this.#partly ? unknown() : failed())
    )
  }

  /** A session around this one rolls back too, whatever its `rollbackOn` says. */
  #respond(answer: ReturnType<typeof answerTo>): Effect.Effect<Response> {
    return Effect.map(HttpServerRespondable.toResponse(answer), Marks.refused)
  }

  noteRequest(request: Request): void {
    this.#requests = [...this.#requests, request]
  }

  #noteCommit(): void {
    this.#partly = true
    const outer = this.#context.unsafeMap.get(Enclosing.key) as Session | undefined
    if (outer !== undefined) outer.#noteCommit()
  }

  /** With the route as it is written: the address of a request may hold what nobody should read in a log. */
  #log(effect: Effect.Effect<void>): Effect.Effect<void> {
    const known = this.#context.unsafeMap.get(HttpRouter.RouteContext.key) as HttpRouter.RouteContext | undefined
    const span = this.#context.unsafeMap.get(Tracer.ParentSpan.key) as Tracer.AnySpan | undefined
    // A router further in says its route to the span.
    const route = known?.route.path ?? (span?._tag === "Span" ? span.attributes.get("http.route") : undefined)
    return Effect.annotateLogs(effect, {
      "http.request.method": this.#request.method,
      ...(route === undefined ? {} : { "http.route": route })
    })
  }
}
