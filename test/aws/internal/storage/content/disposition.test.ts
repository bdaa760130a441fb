import { describe, expect, it } from "@effect/vitest"
import * as ContentDisposition from "content-disposition"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { type Disposition, encode } from "../../../../../src/aws/internal/storage/content/disposition.ts"

const encoded = (disposition: Disposition): string => Either.getOrThrow(encode("contentDisposition", disposition))

const refusal = (value: unknown) => Either.getOrThrow(Either.flip(encode("contentDisposition", value as Disposition)))

describe("Content-Disposition", () => {
  it.each([
    [{ type: "inline" }, "inline"],
    [{ type: "attachment", fileName: undefined }, "attachment"],
    [{ type: "attachment", fileName: "plan.pdf" }, "attachment; filename=\"plan.pdf\""],
    [{ type: "inline", fileName: "my plan; v2 (final).pdf" }, "inline; filename=\"my plan; v2 (final).pdf\""],
    [
      { type: "attachment", fileName: "na\u00efve.pdf" },
      "attachment; filename=\"na_ve.pdf\"; filename*=UTF-8''na%C3%AFve.pdf"
    ],
    [
      { type: "attachment", fileName: "\u{1f600}'(*)\u4f60.png" },
      "attachment; filename=\"_'(*)_.png\"; filename*=UTF-8''%F0%9F%98%80%27%28%2A%29%E4%BD%A0.png"
    ],
    [
      { type: "attachment", fileName: "a \"b\".txt" },
      "attachment; filename=\"a \\\"b\\\".txt\"; filename*=UTF-8''a%20%22b%22.txt"
    ],
    [
      { type: "attachment", fileName: "100%41.txt" },
      "attachment; filename=\"100%41.txt\"; filename*=UTF-8''100%2541.txt"
    ]
  ] as ReadonlyArray<[Disposition, string]>)("%j", (disposition, header) => expect(encoded(disposition)).toBe(header))

  it.each([
    ["", "is empty"],
    [" \u00a0", "is empty"],
    ["a\r\nset-cookie: b", "has control characters"],
    ["a\0.pdf", "has control characters"],
    ["a\x7f", "has control characters"],
    ["a\u0085", "has control characters"],
    ["a\u2028b", "has control characters"],
    ["\ud800.pdf", "has half of a surrogate pair"],
    ["a\udc00", "has half of a surrogate pair"],
    ["../x.pdf", "has a path separator"],
    ["C:\\x.pdf", "has a path separator"],
    ["..", "begins with a dot"],
    [".bashrc", "begins with a dot"],
    ["scan\u202egpj.exe", "changes the direction of writing, which can hide its extension"],
    ["x".repeat(256), "is longer than 255 bytes in UTF-8"],
    ["\u00e9".repeat(128), "is longer than 255 bytes in UTF-8"],
    [7, "must be a text"],
    [null, "must be a text"]
  ])("refuses the name %j, and does not quote it", (fileName, detail) => {
    expect(refusal({ type: "attachment", fileName })).toEqual({
      field: "contentDisposition.fileName",
      detail,
      hint: "give the file another name, or leave the name out"
    })
  })

  it.each([undefined, null, "attachment", {}, { type: "form-data" }, { type: "Inline" }, { type: "inline\r\n" }])(
    "refuses %j",
    (value) =>
      expect(refusal(value)).toMatchObject({
        field: "contentDisposition",
        detail: "must have the type 'inline' or 'attachment'"
      })
  )

  // Characters that other forms of the header have tripped over come often.
  const names = FastCheck.string({
    unit: FastCheck.oneof(
      FastCheck.constantFrom("\"", "%", "'", ";", "*", "=", " ", "\u00e9", "\u4f60", "\u{1f600}", "\u200f", "?"),
      FastCheck.string({ unit: "binary", minLength: 1, maxLength: 1 })
    ),
    maxLength: 300
  })

  it("is printable ASCII, and another program reads the name out of it", () => {
    let taken = 0
    FastCheck.assert(
      FastCheck.property(names, FastCheck.constantFrom("inline" as const, "attachment" as const), (fileName, type) => {
        const header = encode("contentDisposition", { type, fileName })
        if (Either.isLeft(header)) return
        taken++
        expect(header.right).toMatch(/^[\x20-\x7e]{1,1350}$/)
        expect(ContentDisposition.parse(header.right)).toMatchObject({ type, parameters: { filename: fileName } })
        const fallback = ContentDisposition.parse(header.right, { extended: false }).parameters["filename"]!
        expect([...fallback].length).toBe([...fileName].length)
        expect(fallback).toMatch(/^[\x20-\x7e]+$/)
      }),
      { numRuns: 1000 }
    )
    expect(taken).toBeGreaterThan(200)
  })

  it("has the length that is promised, for the longest names", () => {
    for (const fileName of ["\"".repeat(255), "\u4f60".repeat(85), "%".repeat(255), "\u{1f600}".repeat(63)]) {
      const header = encoded({ type: "attachment", fileName })
      expect(header.length).toBeLessThanOrEqual(1350)
      expect(ContentDisposition.parse(header).parameters["filename"]).toBe(fileName)
    }
  })
})
