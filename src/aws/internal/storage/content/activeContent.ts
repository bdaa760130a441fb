/**
 * Files that a browser would run, not only show. Opened from the address of our files, such a file acts in that address's
 * name: it reads what the reader may read there. Sent as an attachment, it is saved instead. An `<img>` shows an SVG all
 * the same, and runs nothing in it.
 *
 * The list holds what browsers are known to run, and what Rails never lets them show. PDF is not in it: browsers show it
 * in a viewer that is kept apart from the address of the files.
 */
import mime from "mime"
import { essence } from "./essence.ts"

/** Whether a file of this type, or of the type that its extension stands for, can run in a browser. No type is known for `hta`. */
export const isActive = (contentType: string, fileExtension: string): boolean => {
  const ofExtension = mime.getType(fileExtension)
  return runs(essence(contentType)) || (ofExtension !== null && runs(ofExtension)) || fileExtension === "hta"
}

const runs = (type: string): boolean =>
  active.has(type)
  // XML takes scripts by way of the elements of XHTML and SVG, whatever its own type is.
  || /[/+]xml$/.test(type) || /^(text|application)\/xml-/.test(type)
  // Each part has a type of its own.
  || type.startsWith("multipart/")
  || /^(text|application)\/(x-)?(java|ecma|j|live)script/.test(type)

const active: ReadonlySet<string> = new Set([
  "text/html",
  "text/xsl",
  "text/rdf",
  "text/mathml",
  "text/cache-manifest",
  // What Windows runs from a page, or as a page.
  "text/vbscript",
  "text/x-component",
  "application/hta",
  "application/x-shockwave-flash",
  "application/postscript",
  // Mail and saved pages (.eml, .mht).
  "message/rfc822",
  "application/x-mimearchive",
  // Browsers take these for no type at all, and guess: HTML too.
  "*/*",
  "text/*",
  "unknown/unknown",
  "application/unknown"
])
