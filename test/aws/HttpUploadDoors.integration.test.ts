/** Uploads through the other doors of the platform, on S3, and what a client sees of a refusal while it still sends. */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as HttpServer from "@effect/platform/HttpServer"
import * as OpenApi from "@effect/platform/OpenApi"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as HttpUpload from "../../src/aws/HttpUpload.ts"
import { Storage } from "../../src/aws/Storage.ts"
import { ServiceError } from "../../src/Errors.ts"
import { Fauxqs } from "../support/aws/fauxqs.ts"
import { settings } from "../support/aws/settings.ts"
import {
  answer,
  boundary,
  connect,
  field,
  file,
  form,
  head,
  post,
  receive,
  serve
} from "../support/aws/uploadServer.ts"

const onS3 = Layer.unwrapEffect(
  Effect.map(Fauxqs, (server) => Layer.provide(Storage.layer, settings(`http://127.0.0.1:${server.port}`)))
).pipe(Layer.provideMerge(Fauxqs.layer))

const keys = Effect.flatMap(
  Storage,
  (storage) =>
    Effect.map(Stream.runCollect(storage.list()), (objects) => Chunk.toReadonlyArray(objects).map(({ key }) => key))
)

class Api extends HttpApi.make("api").add(
  HttpApiGroup.make("files").add(
    HttpApiEndpoint.post("upload", "/files")
      .setPayload(HttpApiSchema.MultipartStream(Schema.Struct({ title: Schema.String, file: Schema.Unknown })))
      .addSuccess(Schema.Struct({ title: Schema.String, keys: Schema.Array(Schema.String) }))
      .addError(HttpUpload.UploadError)
      .addError(ServiceError, { status: 503 })
  )
) {}

const Files = HttpApiBuilder.group(
  Api,
  "files",
  (handlers) =>
    handlers.handle("upload", () =>
      Effect.map(receive({ maxFileSize: 10 }), ({ fields, files }) => ({
        title: String(fields["title"]),
        keys: files.map(({ stored }) => stored.key)
      })))
)

const request = (...parts: ReadonlyArray<string | Buffer>): Request =>
  new Request("http://localhost/files", {
    method: "POST",
    body: new Uint8Array(form(...parts)),
    headers: { "content-type": `multipart/form-data; boundary=${boundary}` }
  })

describe("HttpApi", () => {
  it("shows the statuses of a refusal in OpenAPI", () => {
    const { components, paths } = OpenApi.fromApi(Api)
    // OpenAPI 3.1, 4.8.7.
    expect(Object.keys(components.schemas).filter((name) => !/^[a-zA-Z0-9._-]+$/.test(name))).toEqual([])
    const { responses } = paths["/files"]!.post!
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(["200", "400", "408", "413", "415", "503"]))
  })

  it.live("streams a payload of the kind MultipartStream, also as a handler of the web", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      const { dispose, handler } = HttpApiBuilder.toWebHandler(
        HttpApiBuilder.api(Api).pipe(
          Layer.provide(Files),
          Layer.provide(Layer.succeed(Storage, storage)),
          Layer.merge(HttpServer.layerContext)
        )
      )
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const good = yield* Effect.promise(() =>
        handler(request(file("file", "a.txt", "1234567890"), field("title", "t")))
      )
      const body = yield* Effect.promise(() => good.json())
      expect(body).toEqual({ title: "t", keys: yield* keys })
      const bad = yield* Effect.promise(() =>
        handler(request(file("file", "a.txt", "1"), file("file", "a.txt", "12345678901")))
      )
      expect(bad.status).toBe(413)
      expect(yield* Effect.promise(() => bad.json()))
        .toEqual({
          _tag: "UploadTooLarge",
          reason: "FileTooLarge",
          field: "file",
          limit: 10,
          detail: expect.any(String)
        })
      expect(yield* keys).toHaveLength(1)
      const none = new Request("http://localhost/files", { method: "POST" })
      expect((yield* Effect.promise(() => handler(none))).status).toBe(415)
      const empty = new Request(none, { headers: { "content-type": `multipart/form-data; boundary=${boundary}` } })
      expect((yield* Effect.promise(() => handler(empty))).status).toBe(400)
    }).pipe(Effect.scoped, Effect.provide(onS3)))
})

describe("on S3", () => {
  it.live("stores what is larger than a part, and leaves neither objects nor parts of what is refused at its last byte", () =>
    Effect.gen(function*() {
      const port = yield* serve(Effect.map(receive({ maxFileSize: "9 MiB" }), answer))
      const large = (bytes: number) => form(file("f", "a.bin", "small"), file("f", "b.bin", Buffer.alloc(bytes, 7)))
      expect(yield* post(port, large(9 * 1024 * 1024)))
        .toMatchObject({ status: 200, body: { files: [{ size: 5 }, { size: 9 * 1024 * 1024 }] } })
      const before = yield* keys
      expect(before).toHaveLength(2)
      expect(yield* post(port, large(9 * 1024 * 1024 + 1))).toMatchObject({ status: 413 })
      expect(yield* keys).toEqual(before)
    }).pipe(Effect.scoped, Effect.provide(onS3)))

  it.live("keeps what a commit has settled, whatever is answered", () =>
    Effect.gen(function*() {
      const port = yield* serve(
        receive().pipe(Effect.tap(({ keep }) => keep), Effect.zipRight(Effect.fail("after the commit")))
      )
      expect(yield* post(port, form(file("f", "a", "1")))).toMatchObject({ status: 500 })
      expect(yield* keys).toHaveLength(1)
    }).pipe(Effect.scoped, Effect.provide(onS3)))
})

describe("a refusal", () => {
  it.live("is answered while the client still sends, and the connection serves the next request once it has", () =>
    Effect.gen(function*() {
      const port = yield* serve(Effect.map(receive({ maxTotalSize: "1 KiB" }), answer))
      const { socket } = yield* connect(port)
      const length = 5_000_000
      const heads = head(length).replace("Connection: close\r\n", "")
      const replies: Array<string> = []
      let seen: (() => void) | undefined
      socket.on("data", (data) => {
        replies.push(String(data))
        seen?.()
      })
      const next = (count: number) =>
        Effect.async<void>((resume) => {
          const look = () => {
            if ([...replies.join("").matchAll(/HTTP\/1\.1 413/g)].length >= count) resume(Effect.void)
          }
          seen = look
          look()
        }).pipe(Effect.timeout("8 seconds"))
      for (const count of [1, 2]) {
        socket.write(heads)
        yield* next(count)
        socket.write(Buffer.alloc(length))
      }
      expect(socket.destroyed).toBe(false)
    }).pipe(Effect.scoped, Effect.provide(Storage.layerMemory)))
})
