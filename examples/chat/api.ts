/** The HTTP API and the page, for the public port. */
import { HttpSession, MainDb } from "@betterai/infrastructure"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, Option, Schedule, Schema, Stream } from "effect"
import { fileURLToPath } from "node:url"
import * as Attachments from "./attachments.ts"
import { Events } from "./events.ts"
import * as Messages from "./messages.ts"

const refusal = (status: number, message: string) => HttpServerResponse.unsafeJson({ message }, { status })

/** Of the body of a message, in bytes. */
const LONGEST = 64 * 1024

// #region post
const post = Effect.gen(function*() {
  const { headers } = yield* HttpServerRequest.HttpServerRequest
  // A body without a length is cut at the limit below, and its connection with it.
  if (Number(headers["content-length"] ?? 0) > LONGEST) return refusal(413, "A message has at most 64 KiB.")
  const draft = yield* HttpServerRequest.schemaBodyJson(Messages.Draft)
  return yield* HttpServerResponse.json(yield* Messages.post(draft), { status: 201 })
}).pipe(
  HttpServerRequest.withMaxBodySize(Option.some(LONGEST)),
  Effect.catchTags({
    ParseError: () => Effect.succeed(refusal(400, "A message has a UUID and 1 to 4,000 characters.")),
    RequestError: () => Effect.succeed(refusal(400, "The body is no JSON."))
  })
)

const attach = Effect.catchTag(
  Attachments.attach,
  "ParseError",
  () => Effect.succeed(refusal(400, "A message has a UUID and at most 4,000 characters."))
)
// #endregion

const list = Effect.flatMap(Messages.latest(100), HttpServerResponse.schemaJson(Schema.Array(Messages.Message)))

const file = Effect.gen(function*() {
  const { id } = yield* HttpRouter.schemaPathParams(
    Schema.Struct({ id: Schema.compose(Schema.NumberFromString, Schema.Int) })
  )
  const link = yield* Attachments.link(id)
  return Option.match(link, {
    onNone: () => refusal(404, "There is no such file."),
    onSome: ({ url }) => HttpServerResponse.redirect(url)
  })
}).pipe(Effect.catchTag("ParseError", () => Effect.succeed(refusal(404, "There is no such file."))))

/** Server-sent events: "changed", after which a page asks for the messages. A comment each 15 seconds keeps it open. */
const events = Effect.map(Events, ({ changes }) =>
  HttpServerResponse.stream(
    Stream.merge(
      Stream.map(changes, () => "retry: 1000\ndata: changed\n\n"),
      Stream.as(Stream.fromSchedule(Schedule.spaced("15 seconds")), ":\n\n"),
      { haltStrategy: "left" }
    ).pipe(Stream.encodeText),
    { contentType: "text/event-stream", headers: { "cache-control": "no-store" } }
  ))

const page = (name: string) => HttpServerResponse.file(fileURLToPath(new URL(`page/${name}`, import.meta.url)))

/** Other sites may neither post in a customer's name nor show the page in a frame. */
const guarded = HttpMiddleware.make((app) =>
  Effect.gen(function*() {
    const { headers, method } = yield* HttpServerRequest.HttpServerRequest
    const site = headers["sec-fetch-site"] ?? "none"
    const response = method !== "GET" && site !== "same-origin" && site !== "none"
      ? refusal(403, "Messages are sent from the page itself.")
      : yield* app
    return HttpServerResponse.setHeaders(response, {
      "content-security-policy":
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer"
    })
  })
)

// #region routes
/** Every route has a session, but for the one that answers for as long as a page is open. */
export const api = HttpRouter.empty.pipe(
  HttpRouter.get("/api/messages", list),
  HttpRouter.post("/api/messages", post),
  HttpRouter.post("/api/attachments", attach),
  HttpRouter.get("/api/messages/:id/file", file),
  HttpRouter.use(HttpSession.make(MainDb)),
  HttpRouter.get("/api/events", events),
  HttpRouter.get("/", page("index.html")),
  HttpRouter.get("/chat.js", page("chat.js")),
  HttpRouter.get("/chat.css", page("chat.css")),
  HttpRouter.use(guarded)
)
// #endregion
