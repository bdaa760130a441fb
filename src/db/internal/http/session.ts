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
import { interruptible, uninterruptibleMask } from "../../../internal/effectPrimitives.ts"
import type { InfrastructureError } from "../../../internal/infrastructureError.ts"
import type { DatabaseTag } from "../../Database.ts"
import type { Setting } from "../borrowed/fiberState.ts"
import { exitWith } from "../borrowed/fiberState.ts"
import type { Owner } from "../borrowed/transactionSlot.ts"
import * as Client from "../client.ts"
import type { DataSource } from "../dataSource.ts"
import { fromSqlError } from "../errors/sqlError.ts"
import { Level } from "../transaction/level.ts"
import { NO_OPTIONS, OpenTransaction } from "../transaction/openTransaction.ts"
import { finish, lenderOf, prepare } from "../transaction/transaction.ts"
import * as TransactionContext from "../transaction/transactionContext.ts"
import { Later } from "../transaction/transactionContext.ts"
import { notDecoded, pathsOf, watched } from "./body.ts"
import { isEncodeFailure, saysEncodeFailure } from "./encodeFailure.ts"
import { answerTo, failed, isRetryable, ownErrorOf, unknown } from "./errors.ts"
import * as Marks from "./marks.ts"
import { isAppByItself, isOfRequest, watch } from "./request.ts"

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
  Effect.withFiberRuntime<Response, Exclude<E, SqlError | InfrastructureError>, R | Request>((fiber) => {
    const context = fiber.currentContext as Context.Context<any>
    const session = new Session(context)
    const parts: Array<DatabaseTag<any, string>> = []
    for (const database of databases) {
      const dataSource = Client.dataSourceOf(Context.unsafeGet(context, database))
      const lender = dataSource === undefined ? undefined : lenderOf(dataSource, context)
      if (dataSource !== undefined && lender === dataSource) {
        session.begin(dataSource)
      } else if (!(lender instanceof Level && lender.transaction.isSession)) {
        parts.push(database)
        session.isPart = true
      }
    }
    const verdict = Effect.map(app, (response): Verdict => ({
      response,
      rollBack: Marks.isRefused(response) || (!Marks.isKept(response) && rollbackOn(response)),
      saysEncodeFailure: saysEncodeFailure(response),
      streams: !Marks.isStreamed(response)
        ? undefined
        : Marks.isAfterCommit(response)
        ? "after the commit"
        : "without a word"
    }))
    const own = parts.reduce<Effect.Effect<Verdict, E | DatabaseError, R | Request>>(
      (body, database) => session.inTransaction(database, body),
      verdict
    ) as Effect.Effect<Verdict, E | DatabaseError>
    const byItself = !inRouter && isAppByItself(app, context)
    return uninterruptibleMask((restore) =>
      exitWith(
        session.inner,
        byItself ? interruptible(own) : restore(own),
        (exit) => session.conclude(exit as Exit.Exit<Verdict, E>),
        // Within a route no response is sent.
        context.unsafeMap.has(HttpRouter.RouteContext.key) ? undefined : session
      )
    )
  })

interface Verdict {
  readonly response: Response
  readonly rollBack: boolean
  readonly saysEncodeFailure: boolean
  /** A body that is made after the commit, and whether the handler has said that it may be. */
  readonly streams: "after the commit" | "without a word" | undefined
}

/** What fails a transaction that the response rolls back. */
class Veto {
  readonly verdict: Verdict
  constructor(verdict: Verdict) {
    this.verdict = verdict
  }
}

/** The session around this one, in the same request. */
class Enclosing extends Context.Tag("@betterai/infrastructure/HttpSession/Enclosing")<Enclosing, Session>() {}

const WRONG_PLACE =
  "the response would be sent before the commit, so the request was refused. A middleware of the server "
  + "(HttpServer.serve, HttpApiBuilder.serve, HttpLayerRouter.serve) is too far out: use HttpRouter.use, "
  + "HttpApiBuilder.middleware or HttpLayerRouter.middleware"

const STREAMS =
  "the response streams its body, which is made after the commit, and the request has used its session, so it "
  + "was refused. Read the rows first, or say HttpSession.afterCommit(response): then the body runs outside of the session"

const NOT_ENCODED = "the success of an endpoint does not fit its schema"

class Session implements Setting<Option.Option<HttpApp.PreResponseHandler>> {
  readonly #context: Context.Context<any>
  readonly #request: Request
  readonly #seen: Array<Request> = []
  readonly #begun = new Map<Owner, Later<Level>>()
  /** Some transaction is not ours to end: it was committed, or rolled back, when the body ended. */
  isPart = false
  #ended = false
  /** How it ended, for those who look for a transaction afterwards. */
  #committed: boolean | undefined
  /** What still runs of the body has no session any more. */
  #detached = false
  /** Something of the request was committed: nobody may be told that nothing was done. */
  #partly = false
  /** Done when COMMIT before a WebSocket is. */
  #upgrade: Deferred.Deferred<void> | undefined
  /** What is answered if the session has ended before the body. */
  #answer: Response | undefined

  constructor(context: Context.Context<any>) {
    this.#context = context
    this.#request = Context.unsafeGet(context, HttpServerRequest.HttpServerRequest)
  }

  /** Opens a transaction of this database, which is made when somebody looks for it. */
  begin(dataSource: DataSource): void {
    const make = (): Level => {
      const transaction = new OpenTransaction(dataSource, NO_OPTIONS, this.#context, true)
      const level = new Level(transaction, undefined, false)
      if (this.#committed !== undefined) level.endUnused(this.#committed)
      transaction.isDetached = this.#detached
      return level
    }
    this.#begun.set(dataSource, new Later(make))
  }

  /** The context of the body: its request ends the session before it becomes a WebSocket. */
  get inner(): Context.Context<never> {
    const endBefore = (): Effect.Effect<void> => this.#endBeforeUpgrade()
    const services = new Map(this.#context.unsafeMap)
      .set(HttpServerRequest.HttpServerRequest.key, watch(this.#request, this.#seen, endBefore))
      .set(Enclosing.key, this)
    if (this.#begun.size > 0) TransactionContext.putAll(services, this.#context, this.#begun)
    return Context.unsafeMake(services)
  }

  /** For a database of another client, and in an open transaction, which a session can only be a part of. */
  inTransaction<E, R>(
    database: DatabaseTag<any, string>,
    body: Effect.Effect<Verdict, E, R>
  ): Effect.Effect<Verdict, E | DatabaseError, R> {
    const vetoed = Effect.flatMap(
      body,
      (verdict): Effect.Effect<Verdict, Veto> =>
        verdict.rollBack || verdict.saysEncodeFailure || verdict.streams === "without a word"
          ? Effect.fail(new Veto(verdict))
          : Effect.succeed(verdict)
    )
    const marked = Effect.mapInputContext(
      vetoed,
      (inner: Context.Context<R>) => TransactionContext.asSessions(inner, this.#context)
    )
    return Effect.matchEffect(database.withTransaction(marked), {
      onFailure: (error) =>
        error instanceof Veto ? Effect.succeed(error.verdict) : Effect.fail(error as E | DatabaseError),
      onSuccess: (verdict) => {
        this.#noteCommit()
        return Effect.succeed(verdict)
      }
    }) as Effect.Effect<Verdict, E | DatabaseError, R>
  }

  /** Ends the session as its body did, and gives the response. Must run in an uninterruptible region. */
  conclude<E>(exit: Exit.Exit<Verdict, E>): Effect.Effect<Response, any> {
    if (this.#ended) {
      return Effect.flatMap(
        Effect.exit(this.#whenUpgraded()),
        () =>
          this.#answer !== undefined
            ? Effect.succeed(this.#answer)
            : Exit.map(exit, ({ response }) => this.#watched(response))
      )
    }
    this.#ended = true
    if (Exit.isFailure(exit)) return Effect.zipRight(this.#rollBack(), this.#answerToCause(exit.cause))
    const { response, rollBack, saysEncodeFailure, streams } = exit.value
    if (saysEncodeFailure) return Effect.zipRight(this.#rollBack(), this.#refuse(NOT_ENCODED))
    const mayStream = streams === "after the commit" || (streams !== undefined && !this.#isUsed)
    const sent = (): Response => mayStream ? this.#streamed(response) : response
    if (rollBack) return Effect.map(this.#rollBack(), sent)
    if (streams !== undefined && !mayStream) return Effect.zipRight(this.#rollBack(), this.#refuse(STREAMS))
    if (this.#endUnused()) {
      this.#committed = true
      return Effect.succeed(sent())
    }
    return Effect.flatMap(
      this.#commit(),
      (failure) => failure === undefined ? Effect.succeed(sent()) : this.#answerTo(failure)
    )
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
    return Effect.uninterruptible(Effect.zipRight(this.#rollBack(), this.#refuse(WRONG_PLACE)))
  }

  /** A socket can live for days: what was done before is committed, and then the handler has no session any more. */
  #endBeforeUpgrade(): Effect.Effect<void> {
    return Effect.uninterruptible(Effect.suspend(() => {
      if (this.#ended) return this.#whenUpgraded()
      this.#ended = true
      const upgrade = this.#upgrade = Deferred.unsafeMake<void>(FiberId.none)
      // Outside of the session, which is what effects of `afterCommit` see.
      return Effect.flatMap(Effect.mapInputContext(this.#commit(), () => this.#context), (failure) => {
        if (failure === undefined) {
          this.#detach()
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

  /** Those that somebody has looked for. */
  get #levels(): ReadonlyArray<Level> {
    return [...this.#begun.values()].flatMap(({ made }) => made ?? [])
  }

  /** Whether nothing was asked of any database. */
  #endUnused(): boolean {
    for (const { made } of this.#begun.values()) if (made?.endUnused(true) === false) return false
    return true
  }

  get #isUsed(): boolean {
    return this.isPart || this.#levels.some(({ transaction }) => transaction.connection !== undefined)
  }

  /** The body is made outside of the session. */
  #streamed(response: Response): Response {
    this.#detach()
    return this.#watched(response)
  }

  #watched(response: Response): Response {
    return watched(response, this.#request, (line) => this.#log(line))
  }

  #detach(): void {
    this.#detached = true
    for (const { transaction } of this.#levels) transaction.isDetached = true
  }

  #rollBack(levels = this.#levels): Effect.Effect<void> {
    this.#committed = false
    return Effect.forEach(levels, (level) => Effect.exit(finish(level, ROLL_BACK, () => {})), {
      discard: true
    })
  }

  /** Commits one database after the other. */
  #commit(): Effect.Effect<DatabaseError | undefined> {
    // All of them: nobody shall find one of their own meanwhile.
    const levels = [...this.#begun.values()].map(({ transaction }) => transaction)
    const begun = levels.filter(({ transaction }) => transaction.connection !== undefined)
    const commitFrom = (index: number): Effect.Effect<DatabaseError | undefined> => {
      const level = levels[index]
      if (level === undefined) {
        this.#committed = true
        return Effect.succeed(undefined)
      }
      return Effect.matchEffect(finish(level, COMMIT, () => {}), {
        onSuccess: () => {
          if (level.transaction.connection !== undefined) this.#noteCommit()
          return commitFrom(index + 1)
        },
        onFailure: (failure) =>
          Effect.as(this.#rollBack(levels.slice(index + 1)), fromSqlError(level.transaction.dataSource.name, failure))
      })
    }
    if (begun.length < 2) return commitFrom(0)
    // What is known to be lost is found before the first COMMIT.
    return Effect.flatMap(Effect.forEach(begun, prepare), (refusals) => {
      const error = refusals.find((refusal) => refusal !== undefined)
      return error === undefined ? commitFrom(0) : Effect.as(this.#rollBack(), error)
    })
  }

  #answerToCause(cause: Cause.Cause<unknown>): Effect.Effect<Response, unknown> {
    const error = ownErrorOf(cause)
    if (error !== undefined) return this.#answerTo(error)
    const [failure] = Cause.failures(cause)
    if (Cause.isDie(cause)) return Effect.failCause(cause)
    if (isEncodeFailure(failure)) return this.#refuse(`${NOT_ENCODED}: ${pathsOf(failure.issues)}`)
    return this.#isUsed && ParseResult.isParseError(failure) && !isOfRequest(failure, this.#context, this.#seen)
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

const COMMIT = Exit.void
const ROLL_BACK = Exit.fail(undefined)
