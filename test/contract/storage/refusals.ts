/** What is refused before anything is sent: each option of each method. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { expect } from "vitest"
import { Storage, type Storage as StorageService, type UploadInput } from "../../../src/aws/Storage.ts"
import type { ServiceError } from "../../../src/Errors.ts"
import { base, fresh, refuses, type Tests, text } from "./subject.ts"

/** Wrong values of a field. */
type Wrong = Readonly<Record<string, ReadonlyArray<unknown>>>

const wrongKeys = [
  "",
  ".",
  "..",
  "../x",
  "a/../b",
  "./a",
  "a/.",
  "a\nb",
  "\u0000",
  "\ud800",
  "a\ufffe",
  "\uffffa",
  "x".repeat(1025),
  "é".repeat(513),
  7,
  null
]

/** Of everything that is stored with an object. */
const wrongHeaders: Wrong = {
  contentType: [
    "",
    "image",
    "image/",
    "/png",
    "image/png\r\nx-evil: 1",
    "image/png;",
    "a b/c",
    `image/${"x".repeat(300)}`,
    7
  ],
  cacheControl: ["", "  ", "a\r\nb", "naïve", "x".repeat(1025), 7],
  contentDisposition: ["attachment; filename=\"ü.png\"", "inline\r\nset-cookie: a=b", ""],
  metadata: [
    { "bad name": "x" },
    { name: "a\nb" },
    { name: "ü" },
    { name: 7 },
    { name: " x" },
    { name: "x " },
    { name: " " },
    { Name: "a", name: "b" },
    { name: "x".repeat(2048) },
    new Map([["name", "x"]]),
    "text"
  ],
  tags: [
    "text",
    new Map([["name", "x"]]),
    { "": "x" },
    { ["x".repeat(129)]: "x" },
    { name: "x".repeat(257) },
    { name: 7 },
    { name: "a\nb" },
    { name: "a&b" },
    { "aws:name": "x" },
    { "AWS:name": "x" },
    Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`tag${index}`, "x"]))
  ],
  storageClass: ["", "standard", "A B", 7],
  encryption: ["", "aes256", "aws:kms", 7, { kmsKeyId: "" }, { kmsKeyId: "é" }, { bucketKey: "yes" }, { kmsKeyID: "k" }]
}

const wrongETags = ["", "abc", "\"a\"b\"", "W/\"abc\"", "\"a b\"", "\"\r\n\"", `"${"x".repeat(256)}"`, 7]

const wrongWrites: Wrong = {
  ...wrongHeaders,
  checksum: ["", "crc32", "MD5", 7],
  verifyContent: ["yes", 1, null],
  onProgress: [true, {}, null, Effect.void],
  size: [-1, 1.5, NaN, 2 ** 53, "5", 4, 6],
  data: [
    new Uint8Array(0),
    Stream.empty,
    Stream.make(new Uint8Array(0), new Uint8Array(0)),
    new Blob([]),
    "text",
    [1, 2],
    new ArrayBuffer(5),
    new Uint16Array(5),
    undefined,
    null
  ]
}

const wrongUploads: Wrong = {
  ...wrongWrites,
  fileExtension: ["", ".", "..", "p/g", "../x", "a b", "png\n", "é", "x".repeat(17), ".tar.gz", undefined, "mp4"],
  customerId: [0, -1, 1.5, NaN, Infinity, 2 ** 53, "42", "../1", null, undefined],
  discussionId: [0, -7, 1.5, "", "..", "a/b", "a b", "x".repeat(129), "é", null]
}

/** A method, what it is called with, and wrong values. */
const table: ReadonlyArray<
  readonly [
    method: string,
    wrong: Wrong,
    call: (
      storage: StorageService.Service,
      change: Readonly<Record<string, any>>
    ) => Effect.Effect<unknown, ServiceError>
  ]
> = [
  [
    "uploadImage",
    { ...wrongUploads, contentType: [...wrongHeaders.contentType as [], "video/mp4"] },
    (storage, change) => storage.uploadImage({ ...base, ...change } as UploadInput)
  ],
  [
    "put",
    {
      ...wrongWrites,
      key: [...wrongKeys, {}, { customerId: 1 }],
      ifNoneMatch: ["", "abc", "\"abc\"", true],
      ifMatch: wrongETags
    },
    (storage, change) => {
      const { data, key, ...options } = { key: "a", data: text("hello"), ...change } as Record<string, any>
      return storage.put(key, data, options)
    }
  ],
  [
    "put with both conditions",
    { ifNoneMatch: ["*"] },
    (storage, change) => storage.put("a", text("hello"), { ...change, ifMatch: "\"abc\"" })
  ],
  ["read", {
    key: wrongKeys,
    ifMatch: wrongETags,
    range: [
      {},
      "bytes=0-1",
      7,
      null,
      { start: -1 },
      { start: 1.5 },
      { start: "0" },
      { start: 5, end: 4 },
      { start: 0, end: -1 },
      { start: 0, end: NaN },
      { end: 5 },
      { last: 0 },
      { last: -1 },
      { last: 1.5 },
      { start: 2 ** 53 }
    ]
  }, (storage, { key = "a", ...options }) => Stream.runDrain(storage.read(key, options))],
  [
    "readBytes",
    { key: wrongKeys, ifMatch: wrongETags, range: [{ last: 0 }], maxBytes: [-1, 1.5, NaN, Infinity, "5"] },
    (storage, { key = "a", ...options }) => storage.readBytes(key, options)
  ],
  ["head", { key: wrongKeys }, (storage, { key }) => storage.head(key)],
  ["exists", { key: wrongKeys }, (storage, { key }) => storage.exists(key)],
  ["delete", { key: wrongKeys }, (storage, { key }) => storage.delete(key)],
  [
    "list",
    { prefix: ["a\nb", "\uffff", "x".repeat(1025), 7], startAfter: ["a\nb", "x".repeat(1025), 7] },
    (storage, options) => Stream.runDrain(storage.list(options))
  ],
  ["listPages", {
    prefix: ["a\nb", "x".repeat(1025), 7],
    startAfter: ["a\nb", 7],
    delimiter: ["\n", 7],
    pageSize: [0, -1, 1.5, 1001, NaN, "5"]
  }, (storage, options) => Stream.runDrain(storage.listPages(options))],
  [
    "copy",
    { ...wrongHeaders, from: wrongKeys, to: [...wrongKeys, "a"], ifMatch: wrongETags },
    (storage, { from = "a", to = "b", ...options }) => storage.copy(from, to, options)
  ],
  ["presignRead", {
    key: wrongKeys,
    contentType: ["", "image"],
    contentDisposition: ["", "inline\r\n"],
    expiresIn: [0, "0 seconds", "1500 millis", "8 days", -5, "soon", NaN]
  }, (storage, { key = "a", ...options }) => storage.presignRead(key, options)],
  [
    "presignPut",
    {
      ...wrongHeaders,
      fileExtension: wrongUploads.fileExtension as [],
      customerId: wrongUploads.customerId as [],
      discussionId: wrongUploads.discussionId as [],
      size: [0, -1, 1.5, NaN, "5", undefined, 5 * 1024 ** 3 + 1],
      onlyOnce: ["yes", 1, null],
      expiresIn: [0, "8 days", "soon"]
    },
    (storage, change) =>
      storage.presignPut({ customerId: 1, fileExtension: "png", category: "image", size: 5, ...change })
  ],
  ["presignPost", {
    ...wrongHeaders,
    minSize: [-1, 1.5, "5"],
    maxSize: [0, -1, 1.5, NaN, "5", undefined, 5 * 1024 ** 3 + 1],
    expiresIn: [0, "8 days", "soon"]
  }, (storage, change) => storage.presignPost({ customerId: 1, fileExtension: "png", maxSize: 5, ...change })]
]

export const refusals = (it: Tests): void => {
  for (const [method, wrong, call] of table) {
    it.effect(`${method} refuses bad input: names the field, and sends nothing`, () =>
      Effect.gen(function*() {
        const storage = yield* Storage
        for (const [field, values] of Object.entries(wrong)) {
          for (const value of values) yield* refuses(call(storage, { [field]: value }), field, { [field]: value })
        }
      }))
  }

  it.effect("refuses what is no object where one is needed", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      const { put, uploadImage } = storage
      for (const nothing of [null, 5, "text", []] as ReadonlyArray<unknown> as ReadonlyArray<never>) {
        yield* refuses(uploadImage(nothing), "input", nothing)
        yield* refuses(storage.presignPut(nothing), "input", nothing)
        yield* refuses(storage.presignPost(nothing), "input", nothing)
        yield* refuses(put("a", new Uint8Array([1]), nothing), "options", nothing)
        yield* refuses(Stream.runDrain(storage.read("a", nothing)), "options", nothing)
        yield* refuses(storage.readBytes("a", nothing), "options", nothing)
        yield* refuses(Stream.runDrain(storage.list(nothing)), "options", nothing)
        yield* refuses(Stream.runDrain(storage.listPages(nothing)), "options", nothing)
        yield* refuses(storage.copy("a", "b", nothing), "options", nothing)
        yield* refuses(storage.presignRead("a", nothing), "options", nothing)
      }
      const input = { customerId: 1, fileExtension: "png", size: 5, category: "picture" as "image" }
      yield* refuses(storage.presignPut(input), "category")
    }))

  it.effect("says what to do instead", () =>
    Effect.gen(function*() {
      const storage = yield* Storage
      expect(yield* Effect.flip(storage.uploadImage({ ...base, fileExtension: "mp4" }))).toMatchObject({
        detail: "fileExtension stands for video/mp4, which is not image",
        hint: "upload it as an attachment"
      })
      const key = yield* fresh
      expect(yield* Effect.flip(storage.copy(key, key))).toMatchObject({
        detail: "to is the original",
        hint: "give options to store it with, such as contentType"
      })
    }))
}
