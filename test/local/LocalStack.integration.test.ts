import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs"
import { describe, expect, it, layer } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { createConnection, type RowDataPacket } from "mysql2/promise"
import { networkInterfaces } from "node:os"
import { inspect } from "node:util"
import { expectTypeOf } from "vitest"
import type { ConfigurationError } from "../../src/Errors.ts"
import { LocalStack } from "../../src/local/index.ts"
import * as Aws from "../../src/local/internal/aws.ts"
import * as Mysql from "../../src/local/internal/mysql.ts"
import { isListening, ownFolders, traces, withSettings } from "../support/localServers.ts"

/** Stands for the layers of the package: it reads its settings while it is built. */
class Reader extends Context.Tag("Reader")<Reader, {
  readonly url: Redacted.Redacted
  readonly bucket: string
  readonly poolSize: number
  readonly hidden: ReadonlyArray<Option.Option<string>>
}>() {}

const reader = Layer.effect(
  Reader,
  Config.all({
    url: Config.redacted("MAIN_DB_URL"),
    bucket: Config.nested(Config.string("BUCKET"), "IMAGE_S3"),
    poolSize: Config.integer("MAIN_DB_POOL_SIZE"),
    hidden: Config.all(
      ["AWS_SESSION_TOKEN", "AWS_CREDENTIALS", "AWS_ENDPOINT_URL_S3"].map((name) => Config.option(Config.string(name)))
    )
  })
)

const previous = {
  MAIN_DB_URL: "mysql://real:secret@production/main",
  MAIN_DB_POOL_SIZE: "7",
  AWS_SESSION_TOKEN: "real",
  AWS_CREDENTIALS: "chain",
  AWS_ENDPOINT_URL_S3: "https://production"
}

const underSettings = (settings: Readonly<Record<string, string>>) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(settings))))

const urls = ["MAIN_DB_URL", "GARMIN_DB_URL", "BLOOD_DB_URL", "UFC_DB_URL"] as const

const query = (url: Redacted.Redacted, sql: string) =>
  Effect.acquireUseRelease(
    Effect.promise(() => createConnection({ uri: Redacted.value(url) })),
    (connection) => Effect.promise(() => connection.query<Array<RowDataPacket>>(sql)),
    (connection) => Effect.promise(() => connection.end())
  ).pipe(Effect.map(([rows]) => rows))

layer(reader.pipe(Layer.provideMerge(LocalStack.layer), Layer.provide(underSettings(previous))))("LocalStack", (it) => {
  it.effect("its settings are those that a layer sees", () =>
    Effect.gen(function*() {
      const { settings } = yield* LocalStack
      const seen = yield* Reader
      expect(Redacted.value(seen.url)).toBe(Redacted.value(settings.MAIN_DB_URL))
      expect(seen.bucket).toBe(settings.IMAGE_S3_BUCKET)
    }))

  it.effect("what it does not set comes from the provider before it, but nothing that belongs to the real AWS", () =>
    Effect.gen(function*() {
      const seen = yield* Reader
      expect(seen.poolSize).toBe(7)
      expect(seen.hidden).toEqual([Option.none(), Option.none(), Option.none()])
    }))

  it.effect("shows no secret", () =>
    Effect.gen(function*() {
      const stack = yield* LocalStack
      const password = new URL(Redacted.value(stack.settings.MAIN_DB_URL)).password
      expect(password.length).toBeGreaterThan(20)
      for (const shown of [inspect(stack, { depth: 9 }), JSON.stringify(stack), String(stack.settings.MAIN_DB_URL)]) {
        expect(shown).not.toContain(password)
        expect(shown).not.toContain("local-secret-key")
      }
    }))

  it.effect("four empty databases answer, each its own", () =>
    Effect.gen(function*() {
      const { settings } = yield* LocalStack
      const names = yield* Effect.forEach(urls, (name) =>
        Effect.gen(function*() {
          yield* query(settings[name], "CREATE TABLE own (text VARCHAR(10))")
          yield* query(settings[name], "INSERT INTO own VALUES ('\u{1FA7A}')")
          const [row] = yield* query(settings[name], "SELECT DATABASE() AS name, own.text FROM own")
          expect(row?.["text"]).toBe("\u{1FA7A}")
          return row?.["name"]
        }))
      expect(names).toEqual(["main", "garmin", "blood", "ufc"])
    }))

  const client = (settings: LocalStack.Settings) => ({
    endpoint: settings.AWS_ENDPOINT_URL,
    region: settings.AWS_REGION,
    credentials: {
      accessKeyId: settings.AWS_ACCESS_KEY_ID,
      secretAccessKey: Redacted.value(settings.AWS_SECRET_ACCESS_KEY)
    }
  })

  it.effect("S3 has the bucket", () =>
    Effect.gen(function*() {
      const { settings } = yield* LocalStack
      const s3 = new S3Client({ ...client(settings), forcePathStyle: true })
      const text = yield* Effect.promise(async () => {
        const address = { Bucket: settings.IMAGE_S3_BUCKET, Key: "1/assets/a.txt" }
        await s3.send(new PutObjectCommand({ ...address, Body: "kept" }))
        const { Body } = await s3.send(new GetObjectCommand(address))
        return Body?.transformToString()
      })
      s3.destroy()
      expect(text).toBe("kept")
    }))

  it.effect("SQS has the queue", () =>
    Effect.gen(function*() {
      const { settings } = yield* LocalStack
      const sqs = new SQSClient(client(settings))
      const received = yield* Effect.promise(async () => {
        await sqs.send(new SendMessageCommand({ QueueUrl: settings.AWS_SQS_QUEUE_URL, MessageBody: "work" }))
        return sqs.send(new ReceiveMessageCommand({ QueueUrl: settings.AWS_SQS_QUEUE_URL }))
      })
      sqs.destroy()
      expect(received.Messages?.map(({ Body }) => Body)).toEqual(["work"])
    }))

  it.effect("nothing listens outside this machine", () =>
    Effect.gen(function*() {
      const { settings } = yield* LocalStack
      const outside = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
        .filter(({ family, internal }) => family === "IPv4" && !internal)
      const ports = [settings.AWS_ENDPOINT_URL, Redacted.value(settings.MAIN_DB_URL)].map((url) =>
        Number(new URL(url).port)
      )
      for (const port of ports) {
        expect(yield* isListening(port)).toBe(true)
        for (const { address } of outside) expect(yield* isListening(port, address)).toBe(false)
      }
    }))
})

describe("the life of a LocalStack", () => {
  it.effect("two run at once, and both are gone with their scope", () =>
    Effect.gen(function*() {
      const stack = Effect.map(Layer.build(LocalStack.layer), Context.get(LocalStack))
      const ports = yield* Effect.scoped(Effect.gen(function*() {
        const stacks = yield* Effect.all([stack, stack], { concurrency: "unbounded" })
        const ports = stacks.flatMap(({ settings }) =>
          [settings.AWS_ENDPOINT_URL, Redacted.value(settings.MAIN_DB_URL)].map((url) => Number(new URL(url).port))
        )
        for (const port of ports) expect(yield* isListening(port)).toBe(true)
        return ports
      }))
      expect(new Set(ports).size).toBe(4)
      for (const port of ports) expect(yield* isListening(port)).toBe(false)
    }).pipe(withSettings({})))

  it.effect("one is shared by all layers that it is provided to, however they are put together", () =>
    Effect.gen(function*() {
      class Other extends Context.Tag("Other")<Other, Redacted.Redacted>() {}
      const other = Layer.effect(Other, Config.redacted("MAIN_DB_URL"))
      const seen = yield* Effect.provide(
        Effect.all([Effect.map(Reader, ({ url }) => Redacted.value(url)), Effect.map(Other, Redacted.value)]),
        Layer.mergeAll(Layer.provide(reader, LocalStack.layer), Layer.provide(other, LocalStack.layer))
      )
      expect(seen[0]).toContain("127.0.0.1")
      expect(seen[1]).toBe(seen[0])
    }).pipe(withSettings(previous)))

  it("has a layer that only configuration can make fail", () => {
    expectTypeOf(LocalStack.layer).toEqualTypeOf<Layer.Layer<LocalStack, ConfigurationError>>()
  })

  it.scoped("without fauxqs says how to get it", () =>
    Effect.gen(function*() {
      const missing = () => Promise.reject(new Error("Cannot find package 'fauxqs'"))
      const error = yield* Effect.flip(Aws.makeFrom(missing))
      expect(error).toMatchObject({ _tag: "ConfigurationError", service: "LocalStack", reason: "LocalServer" })
      expect(error.message).toContain("npm install --save-dev fauxqs@1.9.2")
    }))
})

describe("LOCAL_MYSQL_URL", () => {
  it.scoped("names the server that is used, gets its databases and is left running", () =>
    Effect.gen(function*() {
      const running = yield* withSettings({})(Mysql.make)
      const url = `${Redacted.value(running.url(""))}?charset=utf8mb4`
      const { settings } = yield* LocalStack.pipe(
        Effect.provide(LocalStack.layer),
        withSettings({ LOCAL_MYSQL_URL: url })
      )
      const main = new URL(Redacted.value(settings.MAIN_DB_URL))
      expect(Number(main.port)).toBe(running.port)
      expect(main.search).toBe("?charset=utf8mb4")
      expect(yield* query(settings.UFC_DB_URL, "SELECT DATABASE() AS name")).toEqual([{ name: "ufc" }])
      expect(yield* ownFolders).toHaveLength(1)
      expect(yield* traces(running)).toMatchObject({ process: true, port: true })
    }))

  const failing = (url: string) => Effect.flip(Effect.scoped(withSettings({ LOCAL_MYSQL_URL: url })(Mysql.make)))

  it.effect("that is no MySQL URL is refused without quoting it", () =>
    Effect.forEach(
      ["hunter2", "postgres://me:hunter2@127.0.0.1/main", "mysql://", "mysql://me:hunter2%zz@127.0.0.1"],
      (url) =>
        Effect.gen(function*() {
          const error = yield* failing(url)
          expect(error.problems).toEqual([
            { setting: "LOCAL_MYSQL_URL", detail: expect.stringContaining("mysql://user:password@host:port") }
          ])
          expect(inspect(error, { depth: 9 })).not.toContain("hunter2")
        })
    ))

  it.scoped("that is blank counts as not set", () =>
    Effect.gen(function*() {
      const mysql = yield* Mysql.make
      expect(mysql.pid).toBeGreaterThan(0)
    }).pipe(withSettings({ LOCAL_MYSQL_URL: " " })))

  it.effect("of a server that is not there, or does not let us in, is refused with the reason", () =>
    Effect.gen(function*() {
      const running = yield* Effect.scoped(
        withSettings({})(Effect.tap(Mysql.make, ({ port }) =>
          Effect.gen(function*() {
            const error = yield* failing(`mysql://me:hunter2@127.0.0.1:${port}`)
            expect(error.message).toContain("LOCAL_MYSQL_URL: this server cannot be used: Access denied")
            expect(inspect(error, { depth: 9 })).not.toContain("hunter2")
          })))
      )
      const error = yield* failing(`mysql://me:hunter2@127.0.0.1:${running.port}`)
      expect(error).toMatchObject({ reason: "LocalServer" })
      expect(error.message).toContain("ECONNREFUSED")
    }))
})
