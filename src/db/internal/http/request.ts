/** What a session has to know of a request of `@effect/platform`: when it upgrades, and which values came with it. */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as UrlParams from "@effect/platform/UrlParams"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"

type Request = HttpServerRequest.HttpServerRequest

/**
 * Whether a session has to make its body interruptible. Routers do that to their routes, but for those that ask to be
 * `uninterruptible`; nobody does it to an app that is served or mounted by itself.
 */
export const isAppByItself = (app: unknown, context: Context.Context<never>): boolean => {
  const route = context.unsafeMap.get(HttpRouter.RouteContext.key) as HttpRouter.RouteContext | undefined
  return route?.route.uninterruptible !== true && !Predicate.hasProperty(app, HttpRouter.TypeId)
}

/** A session, as its requests know it. */
export interface Watcher {
  /** One more request of it: routers make those, to take a prefix away, and each keeps the body that was read by way of it. */
  noteRequest(request: Request): void
  /** Runs before a request becomes a WebSocket, and not if it cannot become one. */
  beforeUpgrade(): Effect.Effect<void>
}

/**
 * The request for the body of a session. All that the session need not know of happens to the request itself, so who reads
 * its body twice, inside of the session and outside, finds what was read.
 */
export const watch = (request: Request, watcher: Watcher): Request => new Proxy(request, new Watch(watcher))

const WATCHED = Symbol()

/** The request of the server, of one that one or several sessions watch. */
const watchedBy = (request: Request): Request => (request as { readonly [WATCHED]?: Request })[WATCHED] ?? request

/** A class: V8 makes a function that stands in an object literal an old object, which keeps its request until a full collection. */
class Watch implements ProxyHandler<Request> {
  readonly #watcher: Watcher

  constructor(watcher: Watcher) {
    this.#watcher = watcher
  }

  get(target: Request, key: string | symbol): unknown {
    if (key === WATCHED) return watchedBy(target)
    // To ask for an upgrade opens nothing yet: the socket that it gives does, when it is run.
    if (key === "upgrade") {
      return Effect.zipRight(watchedBy(target).upgrade, Effect.zipRight(this.#watcher.beforeUpgrade(), target.upgrade))
    }
    if (key === "modify") {
      return (changes: Parameters<Request["modify"]>[0]) => {
        const modified = target.modify(changes)
        this.#watcher.noteRequest(modified)
        return watch(modified, this.#watcher)
      }
    }
    return Reflect.get(target, key, target)
  }
}

/**
 * Whether what did not fit a schema was sent by the client: its body, parameters, headers or cookies, as the functions of
 * `@effect/platform` hand them to a schema. What came from elsewhere, such as a row, is not the client's fault.
 */
export const isOfRequest = (
  { issue }: ParseResult.ParseError,
  context: Context.Context<never>,
  seen: ReadonlyArray<Request>
): boolean => {
  const actual: unknown = "actual" in issue ? issue.actual : undefined
  return isOfRoute(actual, context, seen) ||
    seen.some((request) =>
      actual === request.headers || actual === request.cookies
      || (typeof actual === "object" && actual !== null && "headers" in actual && actual.headers === request.headers)
      || textOf(request).some((body) => isSame(actual, body))
    )
}

const isOfRoute = (actual: unknown, context: Context.Context<never>, seen: ReadonlyArray<Request>): boolean => {
  const query = context.unsafeMap.get(HttpServerRequest.ParsedSearchParams.key) as object | undefined
  const route = context.unsafeMap.get(HttpRouter.RouteContext.key) as HttpRouter.RouteContext | undefined
  const path = route?.params
  if (actual !== undefined && (actual === query || actual === path)) return true
  if (isSame(actual, { ...query, ...path })) return true
  // A router further in has found another route, of which only the address is known here.
  return (route === undefined || route.route.method === "*") && seen.some(({ url }) => isOfUrl(actual, url))
}

/** Whether all of this is text of an address. */
const isOfUrl = (actual: unknown, url: string): boolean => {
  if (typeof actual !== "object" || actual === null) return false
  const decoded = Either.getOrElse(Either.try(() => decodeURIComponent(url)), () => url)
  const texts = [decoded, decoded.replaceAll("+", " ")]
  const values = Object.values(actual).flat()
  return values.length > 0 &&
    values.every((value) =>
      value === undefined || (typeof value === "string" && texts.some((text) => text.includes(value)))
    )
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
