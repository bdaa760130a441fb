import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { contentType } from "../../../../src/aws/internal/storage/mediaTypes.ts"

type Arguments = Parameters<typeof contentType>

const asAttachment = "upload it as an attachment"

describe("the content type of an upload", () => {
  it.each([
    ["image", "png", undefined, "image/png"],
    ["image", "svg", undefined, "image/svg+xml"],
    ["image", "dcm", undefined, "application/dicom"],
    ["image", "heic", "image/heic", "image/heic"],
    ["image", "png", "IMAGE/PNG; a=b", "IMAGE/PNG; a=b"],
    ["image", "nii", undefined, "application/octet-stream"],
    ["image", "img", undefined, "application/octet-stream"],
    ["image", "bin", "application/octet-stream", "application/octet-stream"],
    ["image", "svs", "image/tiff", "image/tiff"],
    ["image", "zzzz", "application/dicom", "application/dicom"],
    ["video", "mp4", undefined, "video/mp4"],
    ["video", "ogg", undefined, "video/ogg"],
    ["video", "dcm", undefined, "application/dicom"],
    ["video", "mxf", undefined, "application/mxf"],
    ["audio", "mp3", undefined, "audio/mpeg"],
    ["audio", "mp4", undefined, "audio/mp4"],
    ["audio", "webm", "audio/webm;codecs=opus", "audio/webm;codecs=opus"],
    ["audio", "3gp", undefined, "audio/3gpp"],
    ["attachment", "html", undefined, "text/html"],
    ["attachment", "exe", undefined, "application/octet-stream"],
    ["attachment", "zzzz", undefined, "application/octet-stream"],
    ["attachment", "png", "application/octet-stream", "application/octet-stream"],
    ["attachment", "txt", "text/plain; charset=utf-8", "text/plain; charset=utf-8"]
  ] as ReadonlyArray<[...Arguments, string]>)(
    "%s .%s given as %s is %s",
    (category, extension, given, type) => expect(contentType(category, extension, given)).toEqual(Either.right(type))
  )

  it.each(
    [
      ["image", "html", "text/html"],
      ["image", "js", "text/javascript"],
      ["image", "xml", "application/xml"],
      ["image", "txt", "text/plain"],
      ["image", "pdf", "application/pdf"],
      ["image", "zip", "application/zip"],
      ["image", "json", "application/json"],
      ["image", "eps", "application/postscript"],
      ["image", "exe", "application/octet-stream"],
      ["image", "mp4", "video/mp4"],
      ["video", "mp3", "audio/mpeg"],
      ["video", "png", "image/png"],
      ["video", "m3u8", "application/vnd.apple.mpegurl"],
      ["video", "vtt", "text/vtt"],
      ["audio", "mov", "video/quicktime"],
      ["audio", "dcm", "application/dicom"],
      ["audio", "svg", "image/svg+xml"]
    ] as const
  )("%s does not take the extension %s, whatever type is given", (category, extension, type) => {
    const refusal = {
      field: "fileExtension",
      detail: `stands for ${type}, which is not ${category}`,
      hint: asAttachment
    }
    expect(contentType(category, extension, undefined)).toEqual(Either.left(refusal))
    expect(contentType(category, extension, `${category}/x`)).toEqual(Either.left(refusal))
  })

  it.each(
    [
      ["image", "png", "text/html"],
      ["image", "png", "Text/HTML; charset=utf-8"],
      ["image", "zzzz", "application/javascript"],
      ["image", "zzzz", "application/xhtml+xml"],
      ["image", "png", "application/pdf"],
      ["image", "png", "video/mp4"],
      ["image", "png", "*/*"],
      ["image", "png", "imagex/png"],
      ["video", "mp4", "audio/mp4"],
      ["audio", "mp3", "text/plain"],
      ["audio", "mp3", "application/dicom"]
    ] as const
  )(
    "%s .%s does not take the type %s",
    (category, extension, type) =>
      expect(contentType(category, extension, type)).toEqual(
        Either.left({ field: "contentType", detail: `is no type of ${category} files`, hint: asAttachment })
      )
  )

  it("octets may be anything, for clients that know no better", () =>
    expect(contentType("image", "png", "application/octet-stream")).toEqual(Either.right("application/octet-stream")))

  it.each(["", "image", "image/", "image/png\r\nx: 1", "image/png;", 7, null])(
    "%j is no type",
    (given) =>
      expect(Either.flip(contentType("attachment", "png", given))).toMatchObject({ right: { field: "contentType" } })
  )
})
