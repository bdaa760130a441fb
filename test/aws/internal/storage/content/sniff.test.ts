import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { runInNewContext } from "node:vm"
import { gzipSync } from "node:zlib"
import * as FileType from "../../../../../src/aws/internal/storage/content/fileType.ts"
import { compare } from "../../../../../src/aws/internal/storage/content/formats.ts"
import { verify } from "../../../../../src/aws/internal/storage/content/sniff.ts"
import { samples } from "./samples.ts"

type Sample = keyof typeof samples

const readingsOf = (head: Uint8Array) => Effect.flatMap(FileType.load("verify"), (detect) => detect(head))

const verdictOf = (sample: Sample, contentType: string) =>
  Effect.map(readingsOf(samples[sample]), (readings) => compare(contentType, readings))

const word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
const sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

/** What each file may be claimed to be. */
const matching: ReadonlyArray<readonly [Sample, ReadonlyArray<string>]> = [
  ["png", ["image/png", "IMAGE/PNG", "image/png; name=\"x.jpg\"", "image/x-png"]],
  ["apng", ["image/apng", "image/png"]],
  ["pngWithLargeProfile", ["image/png"]],
  ["gif", ["image/gif"]],
  ["jpeg", ["image/jpeg", "image/jpg", "image/pjpeg"]],
  ["webp", ["image/webp"]],
  ["heic", ["image/heic", "image/heif"]],
  ["heif", ["image/heic", "image/heif", "image/avif"]],
  ["avif", ["image/avif"]],
  ["tiff", ["image/tiff", "image/x-adobe-dng"]],
  ["tiffWithDirectoryAtTheEnd", ["image/tiff", "image/x-nikon-nef"]],
  ["bmp", ["image/bmp", "image/x-ms-bmp"]],
  ["ico", ["image/x-icon", "image/vnd.microsoft.icon"]],
  ["dicom", ["application/dicom"]],
  ["dicomInTiff", ["application/dicom", "image/tiff"]],
  ["mp4", ["video/mp4", "audio/mp4", "video/quicktime", "video/x-m4v", "video/3gpp"]],
  ["m4a", ["audio/mp4", "audio/x-m4a", "video/mp4"]],
  ["mov", ["video/quicktime", "video/mp4"]],
  ["threeGp", ["video/3gpp", "audio/3gpp", "video/mp4"]],
  ["webm", ["video/webm", "audio/webm", "audio/webm;codecs=opus"]],
  ["matroska", ["video/x-matroska", "video/webm"]],
  ["ogg", ["audio/ogg", "video/ogg", "application/ogg"]],
  ["opus", ["audio/ogg", "audio/ogg; codecs=opus", "audio/opus"]],
  ["avi", ["video/x-msvideo", "video/vnd.avi"]],
  ["wav", ["audio/wav", "audio/x-wav", "audio/wave"]],
  ["wavOver4GiB", ["audio/wav"]],
  ["mp3", ["audio/mpeg", "audio/mp3"]],
  ["mp3WithTag", ["audio/mpeg"]],
  ["soundWithLargePicture", ["audio/mpeg", "audio/aac", "audio/flac", "audio/x-aiff"]],
  ["flac", ["audio/flac", "audio/x-flac"]],
  ["aac", ["audio/aac"]],
  ["amr", ["audio/amr"]],
  ["pdf", ["application/pdf"]],
  ["pdfAfterBlankLine", ["application/pdf"]],
  ["pdfAfterByteOrderMark", ["application/pdf"]],
  ["zip", ["application/zip", "application/x-zip-compressed", "application/vnd.google-earth.kmz"]],
  ["zipOfOneLargeFile", ["application/zip"]],
  ["docx", [word, "application/zip"]],
  ["xlsx", [sheet, "application/zip"]],
  ["docm", ["application/vnd.ms-word.document.macroEnabled.12"]],
  ["docxOfLibreOffice", [word, sheet]],
  ["odt", ["application/vnd.oasis.opendocument.text", "application/zip"]],
  ["jar", ["application/java-archive", "application/zip"]],
  ["doc", ["application/msword", "application/vnd.ms-excel", "application/x-cfb"]],
  // An encrypted one.
  ["doc", [word, sheet, "application/vnd.ms-excel.sheet.macroEnabled.12"]],
  ["rtf", ["application/rtf", "text/rtf"]],
  ["gzip", ["application/gzip", "image/svg+xml"]],
  ["svgDeclared", ["image/svg+xml", "application/xml", "text/xml"]],
  ["gifThatIsAScript", ["image/gif"]],
  ["svgDeclared", ["video/x-ms-wvx"]],
  ["classOfJava", ["application/java-vm"]],
  ["doc", ["image/vnd.fpx"]],
  ["zip", ["image/openraster"]]
]

/** What each file is not, and what is found instead. */
const mismatching: ReadonlyArray<readonly [Sample, string, string | undefined]> = [
  ["png", "image/jpeg", "image/png"],
  ["png", "image/svg+xml", "image/png"],
  ["jpeg", "image/png", "image/jpeg"],
  ["html", "image/png", undefined],
  ["svg", "image/png", undefined],
  ["svgDeclared", "image/png", "application/xml"],
  ["script", "image/gif", undefined],
  ["text", "application/pdf", undefined],
  ["text", "application/dicom", undefined],
  ["text", "video/mp4", undefined],
  ["textUtf8", "image/png", undefined],
  ["textUtf16", "audio/mpeg", undefined],
  ["pngCutShort", "image/png", undefined],
  ["program", "image/jpeg", "application/x-msdownload"],
  ["program", "application/pdf", "application/x-msdownload"],
  ["dicomInProgram", "application/dicom", "application/x-msdownload"],
  ["zip", "image/png", "application/zip"],
  ["zip", "application/pdf", "application/zip"],
  ["zip", "application/msword", "application/zip"],
  ["docx", sheet, word],
  ["docm", word, "application/vnd.ms-word.document.macroenabled.12"],
  ["jar", word, "application/java-archive"],
  ["doc", "application/vnd.oasis.opendocument.text", "application/x-cfb"],
  ["html", "application/msword", undefined],
  ["pdf", "application/zip", "application/pdf"],
  ["webm", "video/mp4", "video/webm"],
  ["wav", "audio/mpeg", "audio/wav"],
  ["avi", "image/webp", "video/vnd.avi"],
  ["gif", "application/vnd.oasis.opendocument.text", "image/gif"],
  // Types without a signature, which no file with that of another has.
  ["png", "text/plain", "image/png"],
  ["pdf", "text/csv", "application/pdf"],
  ["pdf", "application/json", "application/pdf"],
  ["zip", "application/fhir+json", "application/zip"],
  ["gzip", "text/javascript", "application/gzip"],
  ["program", "text/plain", "application/x-msdownload"],
  ["programOfUnix", "text/csv", "application/x-elf"],
  ["program", "image/x-foo", "application/x-msdownload"],
  ["program", "application/x-nifti", "application/x-msdownload"],
  ["programOfUnix", "application/x-edf", "application/x-elf"],
  ["programOfMac", "application/x-edf", "application/x-mach-binary"],
  ["classOfJava", "font/ttf", "application/java-vm"],
  ["program", "nonsense", "application/x-msdownload"],
  ["zip", "image/x-nifti", "application/zip"],
  ["pdf", "image/x-tga", "application/pdf"],
  ["wav", "image/x-tga", "audio/wav"],
  ["png", "audio/pcm", "image/png"],
  ["soundWithLargePicture", "image/x-tga", "audio/mpeg"],
  ["tableOfBmi", "image/bmp", undefined],
  ["textLikeGif", "image/gif", undefined],
  ["svgDeclared", "image/x-tga", "application/xml"]
]

/** Claims of which these bytes cannot say that they are wrong. */
const unknown: ReadonlyArray<readonly [Sample, string]> = [
  ["text", "text/plain"],
  ["html", "text/html"],
  ["script", "text/javascript"],
  ["text", "application/json"],
  ["png", "application/octet-stream"],
  ["text", "application/x-nifti"],
  ["svg", "image/svg+xml"],
  ["svg", "application/xml"],
  ["text", "application/postscript"],
  ["text", "image/x-tga"],
  ["pdf", "nonsense"],
  ["pdf", "application/x-edf"],
  ["program", "application/octet-stream"],
  ["program", "application/vnd.microsoft.portable-executable"],
  // Text that begins as other formats do.
  ["tableOfBmi", "text/csv"],
  ["textLikeProgram", "text/plain"],
  ["textLikeStream", "text/plain"],
  ["vcard", "text/plain"],
  ["vcard", "text/x-vcard"],
  ["rtf", "text/plain"],
  ["svgDeclared", "text/html"],
  ["postScript", "text/x-tex"],
  ["postScript", "image/x-eps"],
  // Of the same kind, compressed, or in the same container.
  ["jpeg", "image/x-foo"],
  ["dicom", "image/x-dicom"],
  ["gzip", "image/x-nifti"],
  ["mp4", "audio/x-foo"],
  ["ogg", "video/x-theora"],
  ["silence", "audio/pcm"]
]

describe("sniff", () => {
  it.effect.each(matching)(
    "%s is what it may be claimed to be",
    ([sample, types]) =>
      Effect.forEach(
        types,
        (type) =>
          Effect.map(verdictOf(sample, type), (verdict) => expect([type, verdict]).toEqual([type, { _tag: "match" }]))
      )
  )

  it.effect.each(mismatching)(
    "%s is not %s",
    ([sample, claimed, found]) =>
      Effect.map(verdictOf(sample, claimed), (verdict) => expect(verdict).toEqual({ _tag: "mismatch", claimed, found }))
  )

  it.effect.each(unknown)(
    "%s may be %s",
    ([sample, claimed]) =>
      Effect.map(verdictOf(sample, claimed), (verdict) => expect(verdict).toEqual({ _tag: "unknown" }))
  )

  it.effect("refuses a mismatch, naming both types and no parameter", () =>
    Effect.gen(function*() {
      const detect = yield* FileType.load("verify")
      yield* verify(detect, samples.png, "image/png")
      yield* verify(detect, samples.text, "text/plain")
      const hint = "upload it with the content type and the extension that it has"
      expect(yield* Effect.flip(verify(detect, samples.zip, "Image/PNG; name=\"john-doe.png\""))).toEqual({
        field: "data",
        detail: "is not image/png but application/zip, by its first bytes",
        hint
      })
      expect(yield* Effect.flip(verify(detect, samples.html, "image/png"))).toEqual({
        field: "data",
        detail: "is not image/png: it begins like no file of that type, nor of another that is known",
        hint
      })
    }))

  it.effect("looks at no more than the head, and takes bytes of any realm and memory", () =>
    Effect.gen(function*() {
      const tar = new Uint8Array(600_000)
      tar.set(samples.gif)
      expect(yield* readingsOf(tar)).toEqual(["image/gif"])
      const late = new Uint8Array(FileType.headLength + 100).fill(0x20)
      late.set(samples.pdf, FileType.headLength - 4)
      expect(yield* readingsOf(late)).toEqual([])
      const other: Uint8Array = runInNewContext("new Uint8Array([71, 73, 70, 56, 57, 97, 1, 0])")
      expect(other instanceof Uint8Array).toBe(false)
      expect(yield* readingsOf(other)).toEqual(["image/gif"])
      const shared = new Uint8Array(new SharedArrayBuffer(samples.docx.length))
      shared.set(samples.docx)
      expect(yield* readingsOf(shared)).toEqual([word])
      expect(yield* readingsOf(Buffer.from(samples.pdf))).toEqual(["application/pdf"])
    }))

  it.effect("what is compressed in the head is inflated within bounds", () =>
    Effect.gen(function*() {
      const bomb = gzipSync(new Uint8Array(4_000_000))
      expect(bomb.length).toBeLessThan(FileType.headLength)
      expect(yield* readingsOf(bomb)).toEqual(["application/gzip"])
      expect(yield* readingsOf(samples.zipOfOneLargeFile)).toEqual(["application/zip"])
    }))

  it("answers in time, whatever the bytes", async () => {
    const detect = await Effect.runPromise(FileType.load("verify"))
    const beginnings = FastCheck.constantFrom(new Uint8Array(0), ...Object.values(samples))
    const heads = FastCheck.tuple(
      beginnings,
      FastCheck.uint8Array({ maxLength: 200 }),
      FastCheck.nat(64),
      FastCheck.nat(255),
      FastCheck.nat(FileType.headLength)
    ).map(([beginning, more, place, value, length]) => {
      const head = Buffer.concat([beginning, more])
      if (place < head.length) head[place] = value
      return head.subarray(0, length)
    })
    await FastCheck.assert(
      FastCheck.asyncProperty(heads, async (head) => {
        const started = performance.now()
        expect(Array.isArray(await Effect.runPromise(detect(head)))).toBe(true)
        expect(performance.now() - started).toBeLessThan(2000)
      }),
      { numRuns: 500 }
    )
  })

  it.effect("refuses a file if the detector fails or does not answer", () =>
    Effect.gen(function*() {
      const refusal = { field: "data", detail: "cannot be checked: its type could not be detected" }
      const failing = yield* FileType.load("verify", () =>
        Promise.resolve({ fileTypeFromBuffer: () => Promise.reject(new Error("defect")) }))
      expect(yield* Effect.flip(verify(failing, samples.png, "image/png"))).toMatchObject(refusal)
      const called = yield* Deferred.make<void>()
      const silent = yield* FileType.load("verify", () =>
        Promise.resolve({
          fileTypeFromBuffer: () => {
            Deferred.unsafeDone(called, Effect.void)
            return new Promise<never>(() => {})
          }
        }))
      const fiber = yield* Effect.fork(Effect.flip(verify(silent, samples.png, "image/png")))
      yield* Deferred.await(called)
      yield* TestClock.adjust("5 seconds")
      expect(yield* Fiber.join(fiber)).toMatchObject(refusal)
    }))

  it.effect("says what to install", () =>
    Effect.gen(function*() {
      const missing = () => Promise.reject(Object.assign(new Error("private"), { code: "ERR_MODULE_NOT_FOUND" }))
      expect(yield* Effect.either(FileType.load("verifyContent", missing))).toEqual(Either.left({
        field: "verifyContent",
        detail: "needs the package file-type, which cannot be loaded (ERR_MODULE_NOT_FOUND)",
        hint: "run npm install file-type@21"
      }))
    }))
})
