import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs"
import type { SqlClient } from "@effect/sql/SqlClient"
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
import { Queue } from "../../src/aws/Queue.ts"
import * as Database from "../../src/db/Database.ts"
import type { ConfigurationError, DatabaseError } from "../../src/Errors.ts"
import { LocalStack } from "../../src/local/index.ts"
import * as Aws from "../../src/local/internal/aws.ts"
import * as Mysql from "../../src/local/internal/mysql.ts"
import { isListening, ownFolders, traces, withSettings } from "../support/localServers.ts"

/** A stand-in for the layers of the package: it reads its settings while it is built. */
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
  it.effect("a layer sees its settings", () =>
    Effect.gen(function*() {
      const { settings } = yield* LocalStack
      const seen = yield* Reader
      expect(Redacted.value(seen.url)).toBe(Redacted.value(settings.MAIN_DB_URL))
      expect(seen.bucket).toBe(settings.IMAGE_S3_BUCKET)
    }))

  it.effect("other settings come from the provider before it, except those that begin with AWS_", () =>
    Effect.gen(function*() {
      const seen = yield* Reader
      expect(seen.poolSize).toBe(7)
      expect(seen.hidden).toEqual([Option.none(), Option.none(), Option.none()])
    }))

  it.effect("says which database server it has", () =>
    Effect.gen(function*() {
      const { databaseServer, settings } = yield* LocalStack
      const [row] = yield* query(settings.MAIN_DB_URL, "SELECT VERSION() AS version")
      expect(databaseServer.version).toBe(row?.["version"])
      expect(databaseServer.kind).toBe(databaseServer.version.includes("MariaDB") ? "MariaDB" : "MySQL")
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

  it.effect("has four empty databases, separate from each other", () =>
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

  it.effect("has the bucket in S3", () =>
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

  it.effect("has the queue in SQS", () =>
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

  it.effect("does not listen on other network devices", () =>
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

class LabDb extends Database.Tag("LabDb", { prefix: "LAB_DB" })<LabDb>() {}

const withLab = LocalStack.layerWith({ databases: [LabDb, Database.MainDb, LabDb] })

layer(
  Layer.mergeAll(LabDb.layer, Database.MainDb.layer).pipe(Layer.provideMerge(withLab), Layer.provide(underSettings({})))
)(
  "LocalStack.layerWith",
  (it) => {
    it.effect("makes a database for a further tag, whose layer finds it", () =>
      Effect.gen(function*() {
        const nameOf = (sql: SqlClient) =>
          Effect.map(sql<{ name: string }>`SELECT DATABASE() AS name`, ([row]) => row?.name)
        const names = yield* Effect.all([LabDb.use(nameOf), Database.MainDb.use(nameOf)])
        expect(names).toEqual(["lab", "main"])
      }))

    it.effect("keeps that database apart from the four", () =>
      Effect.gen(function*() {
        yield* LabDb.use((sql) => sql`CREATE TABLE only_in_lab (id INT)`)
        const { databaseUrls } = yield* LocalStack
        const tables = yield* Effect.forEach(
          Object.entries(databaseUrls),
          ([variable, url]) => Effect.map(query(url, "SHOW TABLES"), (rows) => [variable, rows.length])
        )
        expect(Object.fromEntries(tables)).toEqual({
          MAIN_DB_URL: 0,
          GARMIN_DB_URL: 0,
          BLOOD_DB_URL: 0,
          UFC_DB_URL: 0,
          LAB_DB_URL: 1
        })
      }))

    it.effect("has the URLs of all databases, and the settings of the plain stack", () =>
      Effect.gen(function*() {
        const { databaseUrls, settings } = yield* LocalStack
        for (const name of urls) {
          expect(Redacted.value(databaseUrls[name]!)).toBe(Redacted.value(settings[name]))
        }
        expect(Object.keys(settings).sort()).toEqual([
          "AWS_ACCESS_KEY_ID",
          "AWS_ENDPOINT_URL",
          "AWS_REGION",
          "AWS_SECRET_ACCESS_KEY",
          "AWS_SQS_QUEUE_URL",
          "BLOOD_DB_URL",
          "GARMIN_DB_URL",
          "IMAGE_S3_BUCKET",
          "MAIN_DB_URL",
          "UFC_DB_URL"
        ])
      }))
  }
)

describe("further databases", () => {
  it.scoped("are refused, before anything is started, if two would have the same name", () =>
    Effect.gen(function*() {
      const clashing = LocalStack.layerWith({ databases: [LabDb, Database.Tag("OtherLab", { prefix: "LAB" })()] })
      const error = yield* Effect.flip(Layer.build(clashing))
      expect(error).toMatchObject({
        _tag: "ConfigurationError",
        service: "LocalStack",
        reason: "InvalidSettings",
        problems: [{
          setting: "LAB_URL",
          detail: "would be the local database \"lab\", which belongs to LAB_DB_URL",
          hint: "give the tag of this database another prefix"
        }]
      })
      expect(yield* ownFolders).toEqual([])
    }).pipe(withSettings({})))

  it("need no more than the stack: the types say so", () => {
    expectTypeOf(LocalStack.layerWith({ databases: [LabDb] })).toEqualTypeOf<
      Layer.Layer<LocalStack, ConfigurationError>
    >()
    expectTypeOf(Layer.provide(LabDb.layer, withLab)).toEqualTypeOf<
      Layer.Layer<LabDb, ConfigurationError | DatabaseError>
    >()
    // @ts-expect-error: a tag without a settings prefix is no database
    LocalStack.layerWith({ databases: [Reader] })
  })
})

class EmailQueue extends Queue.Tag("EmailQueue", { prefix: "EMAIL_SQS" })<EmailQueue>() {}
class EventQueue extends Queue.Tag("EventQueue", { prefix: "EVENT_SQS" })<EventQueue>() {}

layer(
  Layer.mergeAll(Queue.layer, EmailQueue.layer, EventQueue.layer).pipe(
    Layer.provideMerge(LocalStack.layerWith({ queues: [EmailQueue, { prefix: EventQueue.prefix, fifo: true }] }))
  ),
  { timeout: "2 minutes" }
)("further queues of LocalStack.layerWith", (it) => {
  it.effect("are queues of their own, each with its dead-letter queue", () =>
    Effect.gen(function*() {
      const { queueUrls } = yield* LocalStack
      expect(Object.keys(queueUrls).sort()).toEqual(["AWS_SQS_QUEUE_URL", "EMAIL_SQS_QUEUE_URL", "EVENT_SQS_QUEUE_URL"])
      const [jobs, email, events] = yield* Effect.all([Queue, EmailQueue, EventQueue])
      yield* email.enqueue("hello")
      yield* events.enqueue("event", { messageGroupId: "g" })
      const attributes = yield* Effect.forEach([jobs, email, events], (queue) => queue.attributes)
      expect(attributes.map(({ fifo, name, visible }) => ({ name, fifo, visible }))).toEqual([
        { name: "betterai-jobs", fifo: false, visible: 0 },
        { name: "email", fifo: false, visible: 1 },
        { name: "event.fifo", fifo: true, visible: 1 }
      ])
      for (const { redrivePolicy } of attributes) expect(redrivePolicy).toMatchObject({ maxReceiveCount: 5 })
    }))
})

describe("queues of one name", () => {
  it.effect("are refused before anything is started", () =>
    Effect.gen(function*() {
      const clashing = LocalStack.layerWith({
        queues: [EmailQueue, { prefix: "EMAIL" }, { prefix: EmailQueue.prefix, fifo: true }]
      })
      const error = yield* Effect.flip(Layer.build(clashing))
      expect(error.problems.map(({ setting }) => setting)).toEqual(["EMAIL_QUEUE_URL", "EMAIL_SQS_QUEUE_URL"])
    }).pipe(Effect.scoped, withSettings({})))
})

describe("the lifetime of a LocalStack", () => {
  it.effect("two run at the same time, and both are gone with their scope", () =>
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

  it.effect("all layers share the one that is provided to them, however they are composed", () =>
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

  it("its layer fails with nothing but a ConfigurationError", () => {
    expectTypeOf(LocalStack.layer).toEqualTypeOf<Layer.Layer<LocalStack, ConfigurationError>>()
  })

  it.scoped("without fauxqs, the error says how to install it", () =>
    Effect.gen(function*() {
      const missing = () => Promise.reject(new Error("Cannot find package 'fauxqs'"))
      const error = yield* Effect.flip(Aws.make([], missing))
      expect(error).toMatchObject({ _tag: "ConfigurationError", service: "LocalStack", reason: "LocalServer" })
      expect(error.problems).toEqual([{
        setting: "S3 and SQS",
        detail: "need fauxqs, which cannot be loaded",
        hint: "run npm install --save-dev fauxqs@1.9.2"
      }])
    }))
})

describe("LOCAL_MYSQL_URL", () => {
  it.scoped("names a server that gets the databases and keeps running", () =>
    Effect.gen(function*() {
      const running = yield* withSettings({})(Mysql.make())
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

  const failing = (url: string) => Effect.flip(Effect.scoped(withSettings({ LOCAL_MYSQL_URL: url })(Mysql.make())))

  it.effect("is refused without being quoted if it is no MySQL URL", () =>
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

  it.scoped("counts as not set if it is blank", () =>
    Effect.gen(function*() {
      const mysql = yield* Mysql.make()
      expect(mysql.pid).toBeGreaterThan(0)
    }).pipe(withSettings({ LOCAL_MYSQL_URL: " " })))

  it.effect("is refused, with the reason, if the server cannot be reached or refuses the login", () =>
    Effect.gen(function*() {
      const running = yield* Effect.scoped(
        withSettings({})(Effect.tap(Mysql.make(), ({ port }) =>
          Effect.gen(function*() {
            const error = yield* failing(`mysql://me:hunter2@127.0.0.1:${port}`)
            expect(error.message).toContain("LOCAL_MYSQL_URL: this server cannot be used: Access denied")
            expect(error.problems[0]?.hint).toBe(
              "check that it is running, and that host, port, user and password are right"
            )
            expect(inspect(error, { depth: 9 })).not.toContain("hunter2")
          })))
      )
      const error = yield* failing(`mysql://me:hunter2@127.0.0.1:${running.port}`)
      expect(error).toMatchObject({ reason: "LocalServer" })
      expect(error.message).toContain("ECONNREFUSED")
    }))
})
