/** The parser without a server: however the bytes of a form are cut, the same comes out. */
import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { parseHead, parseValue } from "../../../../src/aws/internal/upload/head.ts"
import * as Parser from "../../../../src/aws/internal/upload/parser.ts"

interface Part {
  readonly field: string
  readonly content: string
}

const parse = (chunks: ReadonlyArray<Buffer>): { readonly parts: ReadonlyArray<Part>; readonly ended: boolean } => {
  const parser = Parser.make("B")
  const parts: Array<{ field: string; content: string }> = []
  let ended = false
  for (const chunk of chunks) {
    // The source may use its buffer again.
    const copy = Buffer.from(chunk)
    for (const event of Either.getOrThrow(parser.push(copy))) {
      if (event._tag === "Part") parts.push({ field: event.head.field, content: "" })
      if (event._tag === "Data") parts.at(-1)!.content += Buffer.from(event.bytes).toString("latin1")
      if (event._tag === "End") ended = true
    }
    copy.fill(0)
  }
  return { parts, ended }
}

const bodyOf = (parts: ReadonlyArray<Part>): Buffer =>
  Buffer.from(
    parts.map(({ content, field }) => `--B\r\nContent-Disposition: form-data; name="${field}"\r\n\r\n${content}\r\n`)
      .join("")
      + "--B--\r\n",
    "latin1"
  )

/** Bytes that look like boundaries, without being one. */
const content = FastCheck.array(FastCheck.constantFrom("\r", "\n", "-", "\r\n", "\r\n-", "\r\n--", "B", "x", "\xff"), {
  maxLength: 20
}).map((pieces) => pieces.join("").replaceAll("\r\n--B", "\r\n--x"))

describe("the parser", () => {
  it("gives the same parts however the body is cut", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(FastCheck.record({ field: FastCheck.constantFrom("a", "b"), content }), { maxLength: 5 }),
        FastCheck.array(FastCheck.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }),
        (parts, sizes) => {
          const body = bodyOf(parts)
          const chunks: Array<Buffer> = []
          for (let at = 0, turn = 0; at < body.length; turn++) {
            const size = sizes[turn % sizes.length]!
            chunks.push(body.subarray(at, at + size))
            at += size
          }
          expect(parse(chunks)).toEqual({ parts, ended: true })
          expect(parse([body])).toEqual({ parts, ended: true })
        }
      ),
      { numRuns: 100 }
    )
  })

  it("ends with a value for any bytes, and holds back no more than the headers of a part", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(
          FastCheck.oneof(
            FastCheck.constantFrom(
              "\r\n--B",
              "\r\n",
              "--B\r\n",
              "Content-Disposition: form-data; name=a",
              "--",
              "\r\n\r\n",
              "; filename*=''%",
              "\""
            ),
            FastCheck.string({ maxLength: 9 })
          ),
          { maxLength: 30 }
        ),
        (pieces) => {
          const parser = Parser.make("B")
          for (const piece of pieces) {
            if (Either.isLeft(parser.push(Buffer.from(piece)))) return
          }
        }
      ),
      { numRuns: 300 }
    )
    const endless = Parser.make("B")
    const results = Array.from({ length: 20 }, (_, turn) => turn === 0 ? "--B\r\nX:" : "x".repeat(1000))
      .map((piece) => endless.push(Buffer.from(piece)))
    expect(results.findIndex(Either.isLeft)).toBe(9)
  })
})

describe("headers", () => {
  it("are read in a time that grows with their length only", () => {
    const hostile = [
      "\\".repeat(8000),
      "\\\"".repeat(4000),
      " ".repeat(8000),
      ";".repeat(8000),
      ". ".repeat(4000),
      "ä".repeat(4000)
    ]
    for (const text of hostile) {
      parseValue(`form-data; name="${text}`)
      parseValue(`form-data; name=${text}x`)
      parseHead(`Content-Disposition: form-data; name=f; filename="${text}"`)
      parseHead(`${text}: x`)
    }
  }, 2_000)

  it("keep the backslashes of a path, and give back quotes that are escaped in either way", () => {
    const name = (value: string) =>
      Either.getOrThrow(parseHead(`Content-Disposition: form-data; name=f; filename="${value}"`)).fileName
    expect(name("C:\\temp\\a.txt")).toBe("a.txt")
    expect(name("a\\\"b.txt")).toBe("a\"b.txt")
    expect(name("a%22b.txt")).toBe("a\"b.txt")
    expect(name("100%25.txt")).toBe("100%25.txt")
  })
})
