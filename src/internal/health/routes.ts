/** Health over HTTP. */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Model from "./model.ts"
import { format } from "./prometheus.ts"
import type { HealthService } from "./service.ts"
import * as StatusPage from "./statusPage.ts"

const NO_STORE = { "cache-control": "no-store" }

const encodeReport = Schema.encodeSync(Schema.parseJson(Model.Report))
const encodeStatus = Schema.encodeSync(Schema.parseJson(Model.Status))

const reply = (report: Model.Report): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(encodeReport(report), {
    status: report.status === "fail" ? 503 : 200,
    headers: NO_STORE,
    contentType: "application/health+json"
  })

type Handler = (service: HealthService) => Effect.Effect<HttpServerResponse.HttpServerResponse>

/** Handlers of GET, by their paths. */
export const routes: ReadonlyArray<readonly [path: `/${string}`, Handler]> = [
  ["/livez", ({ live }) => Effect.map(live, reply)],
  ["/readyz", ({ ready }) => Effect.map(ready, reply)],
  ["/healthz", ({ health }) => Effect.map(health, reply)],
  ["/metrics", () =>
    Effect.sync(() =>
      HttpServerResponse.text(format(), {
        headers: NO_STORE,
        contentType: "text/plain; version=0.0.4; charset=utf-8"
      })
    )],
  ["/status", () => Effect.sync(StatusPage.response)],
  [
    "/status.json",
    ({ snapshot }) =>
      Effect.map(
        snapshot,
        (status) =>
          HttpServerResponse.text(encodeStatus(status), { headers: NO_STORE, contentType: "application/json" })
      )
  ]
]

export const router = <Self>(tag: Context.Tag<Self, HealthService>): HttpRouter.HttpRouter<never, Self> =>
  HttpRouter.fromIterable(
    routes.map(([path, handler]) => HttpRouter.makeRoute("GET", path, Effect.flatMap(tag, handler)))
  )
