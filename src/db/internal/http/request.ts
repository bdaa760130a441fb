/** What a session has to know of a request of `@effect/platform`: whether it upgrades, and which values came with it. */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as ParseResult from "effect/ParseResult"

type Request = HttpServerRequest.HttpServerRequest

/** Whether a route asked not to be interrupted. Where no router has matched yet, nobody did. */
export const mayBeInterrupted = (context: Context.Context<never>): boolean =>
  (context.unsafeMap.get(HttpRouter.RouteContext.key) as HttpRouter.RouteContext | undefined)?.route.uninterruptible
    !== true

/**
 * The request, with something to be done before it becomes a WebSocket. A header alone says nothing: any client can send
 * one to any route.
 */
export const beforeUpgrade = (request: Request, before: Effect.Effect<void>): Request =>
  Object.create(request, {
    upgrade: { get: () => Effect.zipRight(before, request.upgrade) },
    modify: {
      value: (changes: Parameters<Request["modify"]>[0]) => beforeUpgrade(request.modify(changes), before)
    }
  }) as Request

export const mayUpgrade = (request: Request): boolean => request.headers["upgrade"] !== undefined

/**
 * Whether what did not fit a schema was sent by the client: its body, parameters, headers or cookies, as the functions of
 * `@effect/platform` hand them to a schema. What came from elsewhere, such as a row, is not the client's fault.
 */
export const isOfRequest = ({ issue }: ParseResult.ParseError, context: Context.Context<never>): boolean => {
  const actual: unknown = "actual" in issue ? issue.actual : undefined
  const request = Context.unsafeGet(context as Context.Context<Request>, HttpServerRequest.HttpServerRequest)
  if (actual === request.headers || actual === request.cookies) return true
  const query = context.unsafeMap.get(HttpServerRequest.ParsedSearchParams.key) as object | undefined
  const path = (context.unsafeMap.get(HttpRouter.RouteContext.key) as HttpRouter.RouteContext | undefined)?.params
  if (actual !== undefined && (actual === query || actual === path)) return true
  if (typeof actual === "object" && actual !== null && "headers" in actual && actual.headers === request.headers) {
    return true
  }
  return isSame(actual, { ...query, ...path }) || textOf(request).some((body) => isSame(actual, body))
}

/** The body as JSON and as a form, if it was read as a text; then it is at hand, and nothing waits for the client. */
const textOf = (request: Request): ReadonlyArray<unknown> => {
  if ((request as { readonly textEffect?: unknown }).textEffect === undefined) return []
  const read = <A>(effect: Effect.Effect<A, unknown>): ReadonlyArray<A> =>
    Either.match(Effect.runSync(Effect.either(effect)), { onLeft: () => [], onRight: (value) => [value] })
  return [...read(request.json), ...read(Effect.map(request.urlParamsBody, UrlParams.toRecord))]
}

const isSame = (one: unknown, other: unknown): boolean => {
  const json = (value: unknown): Either.Either<string | undefined, unknown> => Either.try(() => JSON.stringify(value))
  const first = json(one)
  return Either.isRight(first) && Either.getOrUndefined(json(other)) === first.right
}
