import { S3Client } from "@aws-sdk/client-s3"
import type { SQSClient } from "@aws-sdk/client-sqs"
import { afterEach, describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { S3, Sqs } from "../../src/aws/Clients.ts"
import { Queue } from "../../src/aws/Queue.ts"
import { Storage } from "../../src/aws/Storage.ts"
import type { ConfigurationError } from "../../src/Errors.ts"
import { capturedRequest } from "../support/aws/capturedRequest.ts"
import { Faults } from "../support/aws/faultServer.ts"
import { good } from "../support/aws/settings.ts"
import { keepEnvironment } from "../support/keepEnvironment.ts"

const environment = (values: Readonly<Record<string, string>>) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))

const built = <A, E>(layer: Layer.Layer<A, E>, values: Readonly<Record<string, string>>) =>
  Effect.scoped(Layer.build(Layer.provide(layer, environment(values))))

const settingsNamed = <A>(layer: Layer.Layer<A, ConfigurationError>, values: Readonly<Record<string, string>>) =>
  Effect.map(Effect.flip(built(layer, values)), (error) => {
    expect(error._tag).toBe("ConfigurationError")
    expect(error.reason).toBe("InvalidSettings")
    for (const text of [String(error), JSON.stringify(error)]) expect(text).not.toContain("s3cr3t")
    return error.problems.map(({ setting }) => setting)
  })

describe("settings", () => {
  it.effect("are all named at once", () =>
    Effect.gen(function*() {
      expect(yield* settingsNamed(Storage.layer, {})).toEqual([
        "IMAGE_S3_BUCKET",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION"
      ])
      expect(yield* settingsNamed(Queue.layer, { AWS_ACCESS_KEY_ID: "x", AWS_SQS_QUEUE_URL: "s3cr3t" })).toEqual([
        "AWS_SQS_QUEUE_URL",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION"
      ])
      expect(
        yield* settingsNamed(Storage.layer, {
          AWS_ACCESS_KEY_ID: " ",
          AWS_SECRET_ACCESS_KEY: "s3cr3t",
          AWS_REGION: "EU West",
          AWS_ENDPOINT_URL: "ftp://host",
          AWS_ENDPOINT_URL_S3: "https://user:s3cr3t@host",
          AWS_S3_CHECKSUMS: "never",
          IMAGE_S3_BUCKET: "Not_A_Bucket",
          STORAGE_PUBLIC_BASE_URL: "cdn.example.com"
        })
      ).toEqual([
        "IMAGE_S3_BUCKET",
        "STORAGE_PUBLIC_BASE_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_REGION",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL",
        "AWS_S3_CHECKSUMS"
      ])
      expect(yield* settingsNamed(S3.layer, { ...good, AWS_CREDENTIALS: "AKID:s3cr3t" })).toEqual(["AWS_CREDENTIALS"])
      expect(yield* settingsNamed(S3.layer, { ...good, AWS_S3_CHECKSUMS: "s3cr3t" })).toEqual(["AWS_S3_CHECKSUMS"])
      expect(yield* settingsNamed(Sqs.layer, { ...good, AWS_REGION: "" })).toEqual(["AWS_REGION"])
    }))

  it.effect("name the service, and say what to do", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(built(S3.layer, { AWS_REGION: "eu-west-1" }))
      expect(error.service).toBe("S3")
      expect(error.problems).toEqual(
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map((setting) => ({
          setting,
          detail: "is required and not set",
          hint: "set it, or set AWS_CREDENTIALS=chain to use the SDK's own sources"
        }))
      )
      expect(error.message).toContain("AWS_CREDENTIALS=chain")
      expect((yield* Effect.flip(built(Queue.layer, {}))).service).toBe("Queue")
    }))

  it.effect("of another bucket or queue are checked as well", () =>
    Effect.gen(function*() {
      expect(
        yield* settingsNamed(
          Storage.layerConfig({ bucket: Config.succeed("B"), publicBaseUrl: Config.succeed("x") }),
          { ...good, AWS_REGION: "" }
        )
      ).toEqual(["bucket", "publicBaseUrl", "AWS_REGION"])
      expect(yield* settingsNamed(Queue.layerConfig({ url: Config.string("OTHER_QUEUE") }), good)).toEqual([
        "OTHER_QUEUE"
      ])
      for (
        const url of [
          "",
          "jobs",
          "https://sqs.eu-west-1.amazonaws.com/",
          "https://h/1/a b",
          `https://h/1/${"x".repeat(81)}`,
          "https://h/1/.fifo"
        ]
      ) {
        expect(yield* settingsNamed(Queue.layerConfig({ url: Config.succeed(url) }), good)).toEqual(["url"])
      }
      yield* built(Storage.layerConfig({ bucket: Config.succeed("other") }), good)
    }))

  it.effect("may be blank if they are optional, and need no keys for the SDK's own sources", () =>
    Effect.gen(function*() {
      yield* built(Layer.merge(Storage.layer, Queue.layer), {
        ...good,
        AWS_SESSION_TOKEN: "",
        AWS_ENDPOINT_URL: " ",
        AWS_ENDPOINT_URL_S3: "",
        AWS_CREDENTIALS: "",
        AWS_S3_CHECKSUMS: "",
        STORAGE_PUBLIC_BASE_URL: ""
      })
      const { AWS_ACCESS_KEY_ID: _, AWS_SECRET_ACCESS_KEY: __, ...keyless } = good
      yield* built(Layer.merge(Storage.layer, Queue.layer), { ...keyless, AWS_CREDENTIALS: "chain" })
    }))
})

describe("clients", () => {
  afterEach(keepEnvironment())

  const host = (client: S3Client | SQSClient) => Effect.map(capturedRequest(client), ({ hostname }) => hostname)

  it.effect("follow our settings, whatever the SDK's own settings say", () =>
    Effect.gen(function*() {
      Object.assign(process.env, {
        AWS_ENDPOINT_URL: "http://elsewhere.example",
        AWS_ENDPOINT_URL_S3: "http://elsewhere.example",
        AWS_ENDPOINT_URL_SQS: "http://elsewhere.example",
        AWS_REGION: "us-west-2",
        AWS_MAX_ATTEMPTS: "9",
        AWS_RETRY_MODE: "adaptive",
        AWS_REQUEST_CHECKSUM_CALCULATION: "when_required"
      })
      const s3 = yield* S3
      const sqs = yield* Sqs
      expect(yield* host(s3)).toBe("clinic-uploads.s3.eu-west-1.amazonaws.com")
      expect(yield* host(sqs)).toBe("sqs.eu-west-1.amazonaws.com")
      for (const client of [s3, sqs]) {
        expect(yield* Effect.promise(() => client.config.maxAttempts())).toBe(3)
        expect(
          yield* Effect.promise(async () => (await client.config.retryStrategy() as { readonly mode?: string }).mode)
        ).toBe("standard")
      }
      expect(yield* Effect.promise(() => s3.config.requestChecksumCalculation())).toBe("WHEN_SUPPORTED")
    }).pipe(Effect.provide(Layer.provide(Layer.merge(S3.layer, Sqs.layer), environment(good)))))

  it.effect("prefer a service's own endpoint to the common one", () =>
    Effect.gen(function*() {
      expect(yield* host(yield* S3)).toBe("s3.example")
      expect(yield* host(yield* Sqs)).toBe("all.example")
    }).pipe(Effect.provide(Layer.provide(
      Layer.merge(S3.layer, Sqs.layer),
      environment({ ...good, AWS_ENDPOINT_URL: "http://all.example", AWS_ENDPOINT_URL_S3: "http://s3.example" })
    ))))

  it.live("close their sockets with their scope; a client that was given stays open", () =>
    Effect.gen(function*() {
      const server = yield* Faults
      server.answer(() => ({ status: 200, headers: { etag: "\"x\"" } }))
      const use = Effect.flatMap(Storage, (storage) =>
        Effect.zipRight(
          storage.uploadImage({ data: new Uint8Array(1), customerId: 1, fileExtension: "png" }),
          Effect.promise(server.connections)
        ))
      const settings = environment({ ...good, AWS_ENDPOINT_URL: server.endpoint })
      expect(yield* Effect.provide(use, Layer.provide(Storage.layer, settings))).toBe(1)
      while ((yield* Effect.promise(server.connections)) > 0) yield* Effect.sleep("5 millis")

      let destroyed = false
      const client = new S3Client({
        region: "eu-west-1",
        endpoint: server.endpoint,
        forcePathStyle: true,
        credentials: { accessKeyId: "a", secretAccessKey: "b" }
      })
      const destroy = client.destroy.bind(client)
      client.destroy = () => {
        destroyed = true
        destroy()
      }
      yield* Effect.provide(
        use,
        Storage.layerNoDeps.pipe(Layer.provide(S3.fromClient(client)), Layer.provide(settings))
      )
      expect(destroyed).toBe(false)
      expect(yield* Effect.promise(server.connections)).toBe(1)
      client.destroy()
    }).pipe(Effect.provide(Faults.layer)))
})
