import { describe, expect, it } from "@effect/vitest"
import { isActive } from "../../../../../src/aws/internal/storage/content/activeContent.ts"

describe("isActive", () => {
  it.each([
    "text/html",
    "TEXT/HTML; charset=utf-8",
    "text/html ;charset=utf-8",
    "application/xhtml+xml",
    "application/vnd.wap.xhtml+xml",
    "image/svg+xml",
    "text/xml",
    "application/xml",
    "application/rdf+xml",
    "application/atom+xml",
    "application/mathml+xml",
    "text/mathml",
    "application/xslt+xml",
    "application/xml-dtd",
    "text/xml-external-parsed-entity",
    "text/xsl",
    "text/rdf",
    "text/javascript",
    "text/javascript1.5",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "text/x-ecmascript",
    "text/jscript",
    "text/livescript",
    "application/x-shockwave-flash",
    "application/postscript",
    "text/cache-manifest",
    "message/rfc822",
    "multipart/related; boundary=x",
    "multipart/x-mixed-replace",
    "text/vbscript",
    "text/x-component",
    "application/hta",
    "*/*",
    "text/*",
    "unknown/unknown",
    "application/unknown"
  ])("%s", (type) => expect(isActive(type, "zzzz")).toBe(true))

  it.each([
    "html",
    "htm",
    "xhtml",
    "svg",
    "svgz",
    "xml",
    "xsl",
    "js",
    "mjs",
    "mht",
    "mhtml",
    "eml",
    "swf",
    "appcache",
    "hta",
    "htc"
  ])(
    "the extension %s, whatever the type is",
    (extension) => expect(isActive("application/octet-stream", extension)).toBe(true)
  )

  it.each([
    ["image/png", "png"],
    ["image/jpeg", "jpg"],
    ["application/pdf", "pdf"],
    ["text/plain; charset=utf-8", "txt"],
    ["text/csv", "csv"],
    ["application/json", "json"],
    ["application/dicom", "dcm"],
    ["application/octet-stream", "zzzz"],
    ["application/zip", "zip"],
    ["application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"],
    ["video/mp4", "mp4"],
    ["audio/webm;codecs=opus", "webm"],
    ["text/java", "java"]
  ])("not %s", (type, extension) => expect(isActive(type, extension)).toBe(false))
})
