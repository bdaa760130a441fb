/** Forms over real HTTP, as clients send them and as they should not, with Storage in memory. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as HttpUpload from "../../src/aws/HttpUpload.ts"
import { Storage } from "../../src/aws/Storage.ts"
import {
  answer,
  boundary,
  end,
  field,
  file,
  form,
  type Options,
  post,
  receive,
  type Reply,
  serve
} from "../support/aws/uploadServer.ts"

/** What is answered to a form, and how many files are in Storage then. */
const sent = (
  body: Buffer,
  options: Options = {},
  request: Parameters<typeof post>[2] = {}
): Effect.Effect<Reply & { readonly stored: number }> =>
  Effect.scoped(Effect.gen(function*() {
    const port = yield* serve(Effect.map(receive(options), answer))
    const reply = yield* post(port, body, request)
    return { ...reply, stored: (yield* Storage.objects).length }
  })).pipe(Effect.provide(Storage.layerMemory))

const part = (headers: string, content = "abc"): Buffer =>
  Buffer.from(`--${boundary}\r\n${headers}\r\n\r\n${content}\r\n${end}`)

describe("receive", () => {
  it.live("stores the files in the order of the form, and gives the fields before and after them", () =>
    Effect.gen(function*() {
      const body = form(
        field("title", "Blutbild März"),
        file("image", "a.png", "1", "image/png"),
        file("image", "a.png", "22", "image/png; charset=binary"),
        field("tag", "1"),
        field("tag", "2")
      )
      expect(yield* sent(body)).toEqual({
        status: 200,
        body: {
          fields: { title: "Blutbild März", tag: ["1", "2"] },
          files: [
            { field: "image", name: "a.png", contentType: "image/png", size: 1 },
            { field: "image", name: "a.png", contentType: "image/png", size: 2 }
          ]
        },
        stored: 2
      })
    }))

  it.live("reads what arrives a byte at a time, and boundaries that almost come", () =>
    Effect.gen(function*() {
      const almost = `\r\n--${boundary.slice(0, -1)}\r\n\r\r\n--\r\n`
      const body = Buffer.concat([
        Buffer.from("preamble"),
        Buffer.from("\r\n"),
        form(file("f", "a", almost)),
        Buffer.from("epilogue")
      ])
      expect(yield* sent(body, {}, { pieces: 1 })).toMatchObject({
        status: 200,
        body: { files: [{ size: almost.length }] },
        stored: 1
      })
    }))

  it.live("gives the callback the fields so far, a name that is safe, and an extension", () =>
    Effect.gen(function*() {
      const seen: Array<object> = []
      const body = form(
        field("folder", "7"),
        file("f", "C:\\Users\\..\\.hidden%0D%0ASet-Cookie: a=%22b%22.PNG", "1"),
        file("f", "\u202Egnp.exe", "1"),
        file("f", "photo", "1", "image/jpeg"),
        file("f", `${"ä".repeat(200)}.pdf`, "1"),
        file("f", "no-type", "1", "nonsense")
      )
      const { status } = yield* sent(body, {
        file: ({ data, fields, ...others }) =>
          Effect.flatMap(Storage, (storage) => {
            seen.push({ ...others, fields: { ...fields } })
            return Effect.orDie(storage.put(`k${seen.length}`, data))
          }) as never
      })
      expect(status).toBe(200)
      expect(seen).toMatchObject([
        { name: "hiddenSet-Cookie: a=\"b\".PNG", extension: "png", fields: { folder: "7" } },
        { name: "gnp.exe", extension: "exe" },
        { name: "photo", extension: "jpg", contentType: "image/jpeg" },
        { extension: "pdf" },
        { extension: "bin", contentType: "nonsense" }
      ])
      expect(Buffer.byteLength((seen[3] as { readonly name: string }).name)).toBeLessThanOrEqual(255)
    }))

  it.live("leaves out an input in which no file was chosen, and takes fields of any name", () =>
    Effect.gen(function*() {
      expect(
        yield* sent(
          form(file("f", "", "", "application/octet-stream"), field("__proto__", "x"), field("toString", "y"))
        )
      )
        .toMatchObject({ status: 200, body: { files: [] }, stored: 0 })
      const { body } = yield* sent(form(field("__proto__", "x"), field("__proto__", "y")))
      expect(JSON.stringify(body)).toContain(`"__proto__":["x","y"]`)
    }))

  it.live("takes what is exactly as large as the limit, and not one byte more", () =>
    Effect.gen(function*() {
      const files = (bytes: number) => form(file("f", "a.txt", "x".repeat(bytes)))
      const limits: Options = { maxFileSize: "1 KiB", maxFieldSize: 10, maxFields: 2, maxFiles: 2 }
      expect(yield* sent(files(1024), limits)).toMatchObject({ status: 200, stored: 1 })
      expect(yield* sent(files(1025), limits)).toEqual({
        status: 413,
        body: {
          _tag: "UploadTooLarge",
          reason: "FileTooLarge",
          field: "f",
          limit: 1024,
          detail: "the file has more than 1024 bytes"
        },
        stored: 0
      })
      const total = files(10).length
      expect(yield* sent(files(10), { maxTotalSize: total })).toMatchObject({ status: 200, stored: 1 })
      expect(yield* sent(files(10), { maxTotalSize: total - 1 }))
        .toMatchObject({ status: 413, body: { reason: "BodyTooLarge", limit: total - 1 }, stored: 0 })
      expect(yield* sent(form(field("a", "1234567890")), limits)).toMatchObject({ status: 200 })
      expect(yield* sent(form(field("a", "12345678901")), limits))
        .toMatchObject({ status: 413, body: { reason: "FieldTooLarge", field: "a", limit: 10 } })
      const many = <A>(count: number, make: (index: number) => A) =>
        Array.from({ length: count }, (_, index) => make(index))
      expect(yield* sent(form(...many(2, (i) => field(`a${i}`, ""))), limits)).toMatchObject({ status: 200 })
      expect(yield* sent(form(...many(3, (i) => field(`a${i}`, ""))), limits))
        .toMatchObject({ status: 413, body: { reason: "TooManyFields", limit: 2 } })
      expect(yield* sent(form(...many(2, (i) => file(`a${i}`, "a", "1"))), limits)).toMatchObject({
        status: 200,
        stored: 2
      })
      expect(yield* sent(form(...many(3, (i) => file(`a${i}`, "a", "1"))), limits))
        .toMatchObject({ status: 413, body: { reason: "TooManyFiles", limit: 2 }, stored: 0 })
      expect(
        yield* sent(form(...many(900, (i) => field(`${i}`, "")), ...many(100, () => file("f", "a", "1"))), {
          maxFiles: 100,
          maxFields: 900
        })
      )
        .toMatchObject({ status: 200, stored: 100 })
      expect(yield* sent(form(...many(1000, () => file("f", "", ""))), { maxFields: 999 }))
        .toMatchObject({ status: 413, body: { reason: "TooManyFields" } })
    }))

  it.live("refuses types that are not allowed, and content that is not of the type that is claimed", () =>
    Effect.gen(function*() {
      const limits: Options = { allowedTypes: ["image/*", "application/PDF"] }
      expect(yield* sent(form(file("f", "a.pdf", "1", "Application/pdf")), limits)).toMatchObject({ status: 200 })
      expect(yield* sent(form(file("f", "a.png", "1", "image/png")), limits)).toMatchObject({ status: 200 })
      expect(yield* sent(form(file("f", "a.png", "1", "imagex/png")), limits))
        .toMatchObject({ status: 415, body: { reason: "TypeNotAllowed", field: "f" }, stored: 0 })
      const image = (extension: string | undefined): Options => ({
        file: (part) =>
          Effect.flatMap(Storage, (storage) =>
            storage.uploadImage({
              data: part.data,
              customerId: 7,
              fileExtension: extension ?? part.extension,
              verifyContent: true
            })) as never
      })
      expect(yield* sent(form(file("f", "a.png", "%PDF-1.7 %äöü", "image/png")), image(undefined)))
        .toMatchObject({ status: 415, body: { reason: "WrongContent", field: "f" }, stored: 0 })
      expect(yield* sent(form(file("f", "a.exe", "MZ")), image(undefined)))
        .toMatchObject({ status: 415, body: { reason: "WrongContent", field: "f" }, stored: 0 })
    }))

  it.live.each<[string, Buffer, object, Parameters<typeof post>[2]?]>([
    ["no form", Buffer.from("{}"), { status: 415, body: { reason: "NotMultipart" } }, {
      contentType: "application/json"
    }],
    ["no boundary", form(), { status: 400, body: { reason: "Boundary" } }, { contentType: "multipart/form-data" }],
    ["another boundary", form(file("f", "a", "1")), { status: 400, body: { reason: "Incomplete" } }, {
      contentType: "multipart/form-data; boundary=other"
    }],
    ["two boundaries", form(), { status: 415, body: { reason: "NotMultipart" } }, {
      contentType: "multipart/form-data; boundary=a; boundary=b"
    }],
    ["no body", Buffer.alloc(0), { status: 400, body: { reason: "Incomplete" } }],
    ["no last boundary", form(file("f", "a", "abc")).subarray(0, -end.length), {
      status: 400,
      body: { reason: "Incomplete" }
    }],
    ["half a file", form(file("f", "a", "abc")).subarray(0, -end.length - 3), {
      status: 400,
      body: { reason: "Incomplete" }
    }],
    ["an empty file", form(file("f", "a", "")), { status: 400, body: { reason: "EmptyFile", field: "f" } }],
    ["no headers", Buffer.from(`--${boundary}\r\n\r\nabc\r\n${end}`), { status: 400, body: { reason: "Headers" } }],
    ["no name", part("Content-Disposition: form-data"), { status: 400, body: { reason: "Headers" } }],
    ["an attachment", part("Content-Disposition: attachment; name=\"f\""), {
      status: 400,
      body: { reason: "Headers" }
    }],
    ["two names", part("Content-Disposition: form-data; name=a; name=b"), { status: 400, body: { reason: "Headers" } }],
    ["a line break in a header", part("Content-Disposition: form-data; name=\"a\nX: b\""), {
      status: 400,
      body: { reason: "Headers" }
    }],
    ["a folded header", part("Content-Disposition: form-data;\r\n name=a"), {
      status: 400,
      body: { reason: "Headers" }
    }],
    [
      "the same header twice",
      part("Content-Disposition: form-data; name=a\r\nContent-disposition: form-data; name=b"),
      {
        status: 400,
        body: { reason: "Headers" }
      }
    ],
    ["endless headers", part(`Content-Disposition: form-data; name=a\r\nX: ${"x".repeat(9000)}`), {
      status: 400,
      body: { reason: "Headers" }
    }],
    ["base64", part("Content-Disposition: form-data; name=a; filename=a\r\nContent-Transfer-Encoding: base64"), {
      status: 400,
      body: { reason: "Encoding", field: "a" }
    }],
    ["another charset", part("Content-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=utf-16"), {
      status: 400,
      body: { reason: "Encoding" }
    }],
    ["no UTF-8", form(Buffer.concat([Buffer.from(field("a", "")).subarray(0, -2), Buffer.from([0xff, 13, 10])])), {
      status: 400,
      body: { reason: "Encoding", field: "a" }
    }],
    ["a boundary in a line", form(Buffer.from(`--${boundary}x\r\n`)), { status: 400, body: { reason: "Boundary" } }]
  ])("refuses %s", ([, body, expected, request]) =>
    Effect.gen(function*() {
      expect(yield* sent(body, {}, request)).toMatchObject({ ...expected, stored: 0 })
      // What is malformed is so however it arrives.
      expect(yield* sent(body, {}, { ...request, pieces: 7 })).toMatchObject({ ...expected, stored: 0 })
    }))

  it.live("reads a name whose escape is malformed, which ends other servers", () =>
    Effect.gen(function*() {
      expect(yield* sent(part("Content-Disposition: form-data; name=f; filename*=UTF-8''%zz; filename=x.txt")))
        .toMatchObject({ status: 200, body: { files: [{ name: "x.txt" }] } })
      expect(yield* sent(part("Content-Disposition: form-data; name=f; filename*=utf-8''na%C3%AFve.txt; filename=x")))
        .toMatchObject({ status: 200, body: { files: [{ name: "naïve.txt" }] } })
    }))

  it.live("refuses options that are none before anything is read", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<Options> = [
        { maxFileSize: 0 },
        { maxFileSize: "1 KB" as never },
        { maxTotalSize: "0.5 B" },
        { maxFiles: -1 },
        { allowedTypes: ["png"] },
        { idleTimeout: "Infinity" as never }
      ]
      for (const options of wrong) {
        const port = yield* serve(
          receive(options).pipe(
            Effect.map(answer),
            Effect.catchTag("ServiceError", ({ field, reason }) => HttpServerResponse.json({ field, reason }))
          )
        )
        expect((yield* post(port, form())).body).toEqual({ field: Object.keys(options)[0], reason: "InvalidInput" })
      }
    }).pipe(Effect.scoped, Effect.provide(Storage.layerMemory)))

  it.live("tells how far each file is, without waiting for who is told", () =>
    Effect.gen(function*() {
      const seen: Array<HttpUpload.ReceivingProgress> = []
      const body = form(file("a", "a.bin", Buffer.alloc(3_000_000)), file("b", "b.bin", "1"))
      expect(
        yield* sent(body, {
          onProgress: (progress) => {
            seen.push(progress)
            return progress.bytes === 3_000_000 ? Effect.void : Effect.sleep("1 millis")
          }
        })
      ).toMatchObject({ status: 200, stored: 2 })
      const first = seen.filter((it) => it.field === "a").map(({ bytes }) => bytes)
      expect(first.length).toBeGreaterThan(1)
      expect(first).toEqual([...first].sort((a, b) => a - b))
      expect(seen.filter((it) => it.field === "a").at(-1)).toMatchObject({
        bytes: 3_000_000,
        name: "a.bin",
        expected: body.length
      })
      expect(seen.at(-1)).toMatchObject({ field: "b", bytes: 1 })
    }))

  it.live("skips what the callback leaves unread, and gives the data of a part once", () =>
    Effect.gen(function*() {
      const body = form(file("f", "a", Buffer.alloc(300_000)), file("f", "b", "2"), field("x", "y"))
      const storing = (
        name: string,
        read: (data: HttpUpload.FilePart["data"]) => Stream.Stream<Uint8Array, unknown>
      ): Options => ({
        file: (part) =>
          Effect.flatMap(Storage, (storage) => storage.put(`${name}/${part.name}`, read(part.data))) as never
      })
      expect(yield* sent(body, storing("some", Stream.take(1))))
        .toMatchObject({ status: 200, body: { fields: { x: "y" }, files: [{ name: "a" }, { name: "b", size: 1 }] } })
      const twice = (data: HttpUpload.FilePart["data"]) => Stream.concat(Stream.take(data, 1), data)
      expect(yield* sent(body, storing("twice", twice))).toMatchObject({ status: 500, stored: 0 })
    }))
})
