/** Requests that are not made by the SDK, but after its pattern: they must not differ from its own. */
import { type ReceiveMessageCommandInput, SQSClient } from "@aws-sdk/client-sqs"
import { afterEach, describe, expect, it, vi } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import { Sqs } from "../../src/aws/Clients.ts"
import { internals } from "../../src/aws/internal/queue/service.ts"
import { Queue } from "../../src/aws/Queue.ts"
import { type Answer, Faults, type FaultServer, type Seen, sqsError } from "../support/aws/faultServer.ts"
import { ownQueueWith, queueUrl } from "../support/aws/faultStage.ts"
import { accessKeyId, secretAccessKey, settings } from "../support/aws/settings.ts"

const sessionToken = "a-token"

/** A queue as it is set up in production, and its client. */
const withClient = <A, E>(
  run: (queue: Queue.Service, server: FaultServer, client: SQSClient) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    const server = yield* Faults
    const services = Layer.provideMerge(Queue.layer, Sqs.layer).pipe(
      Layer.provide(settings(server.endpoint, { AWS_SQS_QUEUE_URL: queueUrl, AWS_SESSION_TOKEN: sessionToken }))
    )
    return yield* Effect.flatMap(Effect.all([Queue, Sqs]), ([queue, client]) => run(queue, server, client)).pipe(
      Effect.provide(Layer.orDie(services))
    )
  }).pipe(Effect.provide(Faults.layer))

const md5 = (text: string): string => createHash("md5").update(text).digest("hex")

const accepted = ({ body }: Seen): Answer => ({
  status: 200,
  headers: { "content-type": "application/x-amz-json-1.0", "x-amzn-requestid": "request-1" },
  body: JSON.stringify({
    MessageId: "m-1",
    MD5OfMessageBody: md5((JSON.parse(String(body)) as { MessageBody: string }).MessageBody)
  })
})

/** What the SDK would have signed the request with that the server has seen. */
const signatureOf = async ({ endpoint }: FaultServer, { body, headers, method, path }: Seen): Promise<string> => {
  const client = new SQSClient({
    region: "eu-west-1",
    endpoint,
    credentials: { accessKeyId, secretAccessKey, sessionToken }
  })
  const names = /SignedHeaders=([^,]*)/.exec(String(headers.authorization))?.[1]?.split(";") ?? []
  const date = String(headers["x-amz-date"]).replace(/(....)(..)(..)T(..)(..)(..)Z/, "$1-$2-$3T$4:$5:$6Z")
  const { hostname, port, protocol } = new URL(endpoint)
  const signer = await client.config.signer()
  const signed = await signer.sign(
    {
      method,
      protocol,
      hostname,
      port: Number(port),
      path,
      body,
      headers: Object.fromEntries(names.map((name) => [name, String(headers[name])]))
    },
    { signingDate: new Date(date) }
  )
  return String(signed.headers["authorization"])
}

/** Without what is new in each request. */
const constantOf = ({ body, headers, method, path }: Seen) => {
  const {
    "amz-sdk-invocation-id": _id,
    authorization: _authorization,
    connection: _connection,
    "x-amz-date": _date,
    ...others
  } = headers
  return { body: JSON.parse(String(body)) as unknown, headers: others, method, path }
}

describe("a request of ours", () => {
  afterEach(() => {
    delete process.env["AWS_LAMBDA_FUNCTION_NAME"]
    delete process.env["_X_AMZN_TRACE_ID"]
  })

  it.live("is the one that the SDK sends, and signed as the SDK signs it", () =>
    withClient((queue, server, client) =>
      Effect.gen(function*() {
        server.answer(accepted)
        const text = "äß€🎉 \" \\ \u2028"
        yield* queue.enqueue(text, { attributes: { a: "ü", n: 5 } })
        yield* queue.enqueue(text, { attributes: { a: "ü", n: 5 } })
        // Somebody's own middleware sends all others by the SDK.
        let passed = 0
        client.middlewareStack.add((next) => (args) => (passed++, next(args)), { step: "initialize" })
        const other = yield* Effect.provide(Queue.make({ url: `${queueUrl}2` }), Layer.succeed(Sqs, client))
        yield* other.enqueue(text, { attributes: { a: "ü", n: 5 } })
        expect(passed).toBe(1)

        const [first, second, theirs] = server.seen
        expect(constantOf(second!)).toEqual(constantOf(first!))
        const { body, headers, ...rest } = constantOf(theirs!)
        expect(constantOf(first!)).toEqual({
          ...rest,
          body: { ...body as object, QueueUrl: queueUrl },
          headers: {
            ...headers,
            "content-length": first?.headers["content-length"],
            "x-amz-content-sha256": first?.headers["x-amz-content-sha256"]
          }
        })
        expect(first?.headers).toMatchObject({
          "x-amz-security-token": sessionToken,
          "amz-sdk-request": "attempt=1; max=3"
        })
        expect(first?.headers["amz-sdk-invocation-id"]).not.toBe(second?.headers["amz-sdk-invocation-id"])
        for (const seen of [first!, second!, theirs!]) {
          expect(seen.headers.authorization).toBe(yield* Effect.promise(() => signatureOf(server, seen)))
        }
      })
    ))

  it.live("does not go past middleware that somebody has added to the client", () =>
    withClient((queue, server, client) =>
      Effect.gen(function*() {
        server.answer(accepted)
        const passed: Array<unknown> = []
        client.middlewareStack.add((next) => (args) => {
          passed.push((args.input as ReceiveMessageCommandInput).QueueUrl)
          return next(args)
        }, { step: "build" })
        yield* queue.enqueue(1)
        yield* queue.enqueue(2)
        expect(passed).toEqual([queueUrl, queueUrl])
        expect(server.seen).toHaveLength(2)
      })
    ))

  it.live("carries the id of the invocation on Lambda, by which AWS finds functions that call themselves", () =>
    withClient((queue, server) =>
      Effect.gen(function*() {
        process.env["AWS_LAMBDA_FUNCTION_NAME"] = "worker"
        server.answer(accepted)
        for (const id of ["Root=1", "Root=2", "Root=3"]) {
          process.env["_X_AMZN_TRACE_ID"] = id
          yield* queue.enqueue(1)
        }
        expect(server.seen.map(({ headers }) => headers["x-amzn-trace-id"])).toEqual(["Root=1", "Root=2", "Root=3"])
      })
    ))

  it.live("is attempted as often as the SDK would, and has its attempts counted", () =>
    withClient((queue, server) =>
      Effect.gen(function*() {
        yield* Effect.sync(() => server.answer(accepted))
        yield* queue.enqueue(1)
        server.answer((seen, index) => index < 2 ? sqsError(400, "ThrottlingException") : accepted(seen))
        expect(yield* queue.enqueue(1)).toEqual({ messageId: "m-1" })
        expect(server.seen.map(({ headers }) => headers["amz-sdk-request"])).toEqual([
          "attempt=1; max=3",
          "attempt=2; max=3",
          "attempt=3; max=3"
        ])
        server.answer(() => "reset")
        expect(yield* Effect.flip(queue.enqueue(1))).toMatchObject({ attempts: 3, outcome: "unknown" })
      })
    ))

  it.live("that succeeds lets the SDK try others again", () =>
    withClient((queue, server, client) =>
      Effect.gen(function*() {
        const strategy = (yield* Effect.promise(() => client.config.retryStrategy())) as unknown as {
          readonly getCapacity: () => number
        }
        const full = strategy.getCapacity()
        server.answer(() => "reset")
        yield* Effect.flip(queue.enqueue(1))
        const left = strategy.getCapacity()
        expect(left).toBeLessThan(full)
        server.answer(accepted)
        yield* queue.enqueue(1)
        yield* queue.enqueue(1)
        expect(strategy.getCapacity()).toBe(left + 2)
      })
    ))

  it.live("has the bytes of an attribute in its reply, however that is spaced", () =>
    withClient((queue, server) =>
      Effect.gen(function*() {
        const MessageAttributes = { png: { DataType: "Binary", BinaryValue: "AP8=" } }
        const Messages = [{ MessageId: "m-1", ReceiptHandle: "r-1", Body: "1", MD5OfBody: md5("1"), MessageAttributes }]
        server.answer(() => ({ status: 200, body: JSON.stringify({ Messages }).replaceAll("\":", "\" : ") }))
        const { receive } = queue[internals].backend
        const [message] = yield* receive({ max: 1, waitSeconds: 0, visibilitySeconds: 30 })
        expect(message?.attributes).toEqual({ png: { type: "Binary", value: new Uint8Array([0, 255]) } })
      })
    ))

  it.live("has bytes that are not written as the JSON of a million numbers first", () =>
    withClient((queue, server) =>
      Effect.gen(function*() {
        server.answer(accepted)
        let written = 0
        const toJSON = () => void written++
        Object.defineProperty(Uint8Array.prototype, "toJSON", { value: toJSON, configurable: true })
        yield* queue.enqueue(1, { attributes: { png: new Uint8Array([0, 255]) } }).pipe(
          Effect.ensuring(Effect.sync(() => Reflect.deleteProperty(Uint8Array.prototype, "toJSON")))
        )
        expect(JSON.parse(String(server.seen[0]?.body))).toMatchObject({
          MessageAttributes: { png: { DataType: "Binary", BinaryValue: "AP8=" } }
        })
        expect(written).toBe(0)
      })
    ))
})

describe("credentials that do not come", () => {
  /** So old that each request asks for new ones. */
  const old = () => ({ accessKeyId, secretAccessKey, expiration: new Date() })
  const page: Answer = { status: 200, body: "<html></html>" }

  it.live("leave it unknown what became of a message whose reply the SDK has to read", () => {
    let isMissing = false
    const missing = Object.assign(new Error("nobody there"), { name: "CredentialsProviderError" })
    const credentials = () => isMissing ? Promise.reject(missing) : Promise.resolve(old())
    return ownQueueWith({ credentials })((queue, server) =>
      Effect.gen(function*() {
        server.answer(() => {
          isMissing = true
          return page
        })
        expect(yield* Effect.flip(queue.enqueue(1))).toMatchObject({ reason: "MissingCredentials", outcome: "unknown" })
        expect((yield* Effect.flip(queue.enqueue(2))).outcome).toBeUndefined()
        expect(server.seen).toHaveLength(1)
      })
    )
  })

  it.live("do not keep a call for ever whose reply the SDK has to read", () =>
    Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      let isMissing = false
      const credentials = () =>
        isMissing
          ? Effect.runPromise(Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never))
          : Promise.resolve(old())
      vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] })
      yield* ownQueueWith({ credentials })((queue, server) =>
        Effect.gen(function*() {
          server.answer(() => {
            isMissing = true
            return page
          })
          const fiber = yield* Effect.fork(Effect.flip(queue.enqueue(1)))
          yield* Deferred.await(asked)
          vi.advanceTimersByTime(34_000)
          expect(yield* Fiber.join(fiber)).toMatchObject({ reason: "Timeout", outcome: "unknown" })
        })
      )
    }).pipe(Effect.ensuring(Effect.sync(() => vi.useRealTimers()))))

  it.live("leave no doubt where nothing was sent", () => {
    const lost = Object.assign(new Error("of what provides them"), { code: "ECONNRESET" })
    return ownQueueWith({ credentials: () => Promise.reject(lost) })((queue, server) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(queue.enqueue(1))
        expect(error).toMatchObject({ reason: "ConnectionLost", retryable: true })
        expect(error.outcome).toBeUndefined()
        expect(server.seen).toHaveLength(0)
      })
    )
  })
})
