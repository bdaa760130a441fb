/** Neither the secret key nor the session token appears in anything that people or machines print. */
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"
import { S3, Sqs } from "../../src/aws/Clients.ts"
import { Queue } from "../../src/aws/Queue.ts"
import { Storage } from "../../src/aws/Storage.ts"
import { type Answer, Faults, s3Error, sqsError } from "../support/aws/faultServer.ts"
import { secretAccessKey, sessionToken, settings } from "../support/aws/settings.ts"

const url = "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"

const renderings = (value: unknown): ReadonlyArray<string> => [
  String(value),
  inspect(value, { depth: Infinity, showHidden: true, getters: true }),
  inspect(value),
  safeJson(value),
  ...(value instanceof Error
    ? [value.message, String(value.stack), inspect(value.cause, { depth: Infinity, showHidden: true })]
    : []),
  ...(Cause.isCause(value) ? [Cause.pretty(value, { renderErrorCause: true })] : [])
]

const safeJson = (value: unknown): string => {
  const seen = new Set<unknown>()
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item === "object" && item !== null) {
      if (seen.has(item)) return "[seen]"
      seen.add(item)
    }
    if (typeof item === "bigint") return String(item)
    return item
  }) ?? ""
}

const clean = (where: string, texts: ReadonlyArray<string>) => {
  for (const text of texts) {
    for (const secret of [secretAccessKey, sessionToken]) {
      expect(
        text.includes(secret),
        `${where} shows a secret: ${text.slice(Math.max(0, text.indexOf(secret) - 200), text.indexOf(secret) + 20)}`
      ).toBe(false)
    }
  }
}

/** The reply of AWS to a wrong signature: the request as it should have been signed. */
const canonical =
  `The request signature we calculated does not match.\n\nThe Canonical String for this request should have been\n`
  + `'POST\n/\n\nhost:sqs\nx-amz-security-token:${sessionToken}\n'`

const answers: ReadonlyArray<Answer> = [
  s3Error(403, "SignatureDoesNotMatch", canonical),
  sqsError(403, "InvalidSignatureException", canonical),
  s3Error(403, "AccessDenied", `x-amz-security-token: ${sessionToken} is not allowed`),
  s3Error(400, "IncompleteSignature", `Authorization=AWS4-HMAC-SHA256 Credential=A, Signature=${sessionToken}`),
  s3Error(403, "AccessDenied", `GET /k?X-Amz-Security-Token=${sessionToken}&X-Amz-Signature=${sessionToken}`),
  { status: 500, body: `<html>${sessionToken}</html>` },
  { status: 500, body: sessionToken },
  { status: 400, body: `{"__type":"X","message":` },
  "reset"
]

describe("secrets", () => {
  it.live("appear in no error, span, log or service", () =>
    Effect.gen(function*() {
      const server = yield* Faults
      const printed: Array<string> = []
      const spans: Array<Tracer.Span> = []
      const tracer = Tracer.make({
        span: (name, parent, context, links, startTime, kind) => {
          const span = new CollectedSpan(name, parent, context, links, startTime, kind)
          spans.push(span)
          return span
        },
        context: (f) => f()
      })
      const logger = Logger.make((options) => {
        printed.push(Logger.logfmtLogger.log(options), Logger.jsonLogger.log(options), Logger.stringLogger.log(options))
      })

      yield* Effect.gen(function*() {
        const storage = yield* Storage
        const queue = yield* Queue
        const s3 = yield* S3
        const sqs = yield* Sqs
        for (const service of [storage, queue, s3, sqs, s3.config, sqs.config]) clean("a service", renderings(service))
        for (const answer of answers) {
          server.answer(() => answer)
          const input = { data: new Uint8Array([1]), customerId: 1, fileExtension: "png" }
          for (
            const run of [
              storage.uploadImage(input),
              storage.uploadImage({ ...input, data: Stream.make(new Uint8Array(1)) }),
              storage.delete("k"),
              Stream.runDrain(storage.read("k")),
              queue.enqueue({ a: 1 })
            ]
          ) {
            const exit = yield* Effect.exit(Effect.tapErrorCause(run, (cause) => Effect.logError("failed", cause)))
            if (Exit.isSuccess(exit)) continue
            clean("an error", [...renderings(exit), ...renderings(exit.cause), ...renderings(Cause.squash(exit.cause))])
          }
        }
        // After use: what the services have kept must not appear either.
        for (const service of [storage, queue, s3, sqs]) clean("a used service", renderings(service))
      }).pipe(
        Effect.provide(
          Layer.provide(
            Layer.merge(
              Layer.provideMerge(Storage.layerNoDeps, S3.layer),
              Layer.provideMerge(Queue.layerNoDeps, Sqs.layer)
            ),
            settings(server.endpoint, { AWS_SQS_QUEUE_URL: url })
          )
        ),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
        Effect.withTracer(tracer)
      )

      expect(printed.length).toBeGreaterThan(10)
      expect(spans.map(({ name }) => name)).toContain("Storage.uploadImage")
      clean("a log", printed)
      for (const span of spans) clean("a span", renderings({ ...span, attributes: Array.from(span.attributes) }))
    }).pipe(Effect.provide(Faults.layer)), 60_000)
})

class CollectedSpan implements Tracer.Span {
  readonly _tag = "Span"
  readonly spanId = "1"
  readonly traceId = "1"
  readonly sampled = true
  readonly attributes = new Map<string, unknown>()
  readonly events: Array<unknown> = []
  status: Tracer.SpanStatus
  readonly name: string
  readonly parent: Tracer.Span["parent"]
  readonly context: Tracer.Span["context"]
  readonly links: Tracer.Span["links"]
  readonly kind: Tracer.SpanKind
  constructor(
    name: string,
    parent: Tracer.Span["parent"],
    context: Tracer.Span["context"],
    links: Tracer.Span["links"],
    startTime: bigint,
    kind: Tracer.SpanKind
  ) {
    this.name = name
    this.parent = parent
    this.context = context
    this.links = links
    this.kind = kind
    this.status = { _tag: "Started", startTime }
  }
  end(endTime: bigint, exit: Exit.Exit<unknown, unknown>) {
    this.status = { _tag: "Ended", startTime: this.status.startTime, endTime, exit }
  }
  attribute(key: string, value: unknown) {
    this.attributes.set(key, value)
  }
  event(name: string, _time: bigint, attributes?: Record<string, unknown>) {
    this.events.push([name, attributes])
  }
  addLinks() {}
}
