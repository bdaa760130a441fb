/**
 * Which media types name the same format. A file of a type that is listed here is refused if its bytes are anything else:
 * the format has a signature, at the beginning of each of its files, that the detector knows. A file of any other type is
 * refused if its bytes have a signature that no file of such a type has.
 */
import { essence } from "./essence.ts"

/** Whether a claimed type is what the bytes say. `found` is none if the bytes have no known signature. */
export type Verdict =
  | { readonly _tag: "match" }
  | { readonly _tag: "mismatch"; readonly claimed: string; readonly found: string | undefined }
  /** Nothing can be said of the claimed type: text, or a format whose signature is not known. */
  | { readonly _tag: "unknown" }

/** `readings`: the types that the bytes can be, the likeliest first. */
export const compare = (contentType: string, readings: ReadonlyArray<string>): Verdict => {
  const claimed = essence(contentType)
  const format = formatOf(claimed)
  if (readings.some((reading) => matches(format, formatOf(essence(reading))))) return { _tag: "match" }
  const known = formats.has(format) || containers.some(({ holds }) => holds(format))
  // XML needs no declaration at its beginning, and has no other signature.
  const optional = format === xml || xmlBased(format)
  const wrong = known
    ? !(optional && readings.length === 0)
    : readings.length > 0 && readings.every((reading) => excludes(claimed, formatOf(essence(reading))))
  return wrong ? { _tag: "mismatch", claimed, found: readings[0] } : { _tag: "unknown" }
}

const matches = (claimed: string, found: string): boolean =>
  claimed === found
  // The detector sees the beginning of a file only, which may tell the container but not what is in it.
  || containers.some(({ container, holds }) => container === found && holds(claimed))
  // Each of these is a ZIP archive, whatever else it is.
  || (claimed === zip && zipBased(found))

/** Whether a file of a type that is not listed cannot be of the format that was found. */
const excludes = (claimed: string, found: string): boolean => {
  if (programs.has(found)) return !programs.has(claimed) && claimed !== "application/octet-stream"
  if (isText(claimed)) return !isText(found) && !textual.has(found)
  // Any file can be compressed, and the signature of icons, three zeros and a one, is that of silence as well.
  if (found === "application/gzip" || found === "image/vnd.microsoft.icon") return false
  if (claimed.startsWith("image/")) return !found.startsWith("image/") && !pictures.has(found)
  return /^(audio|video)\//.test(claimed) && !/^(audio|video)\//.test(found) && !recordings.has(found)
}

/** Types that are nothing but text. Those of XML are listed as a format. */
const isText = (type: string): boolean =>
  /^(text|message)\/|^application\/(x-)?((nd|geo)?json|javascript|ecmascript|yaml|sql|sh|csh)\b|\+(json|yaml)$/.test(
    type
  )

/** Formats whose files are text as well. */
const textual: ReadonlySet<string> = new Set([
  "application/xml",
  "application/rtf",
  "application/postscript",
  "application/eps",
  "application/pgp-encrypted",
  "application/x-ms-regedit",
  "model/stl"
])

/** Formats that are images, or sound and video, without being called so. */
const pictures: ReadonlySet<string> = new Set(["application/dicom", "application/postscript", "application/eps"])
const recordings: ReadonlySet<string> = new Set([
  "application/dicom",
  "application/mxf",
  "application/vnd.rn-realmedia"
])

/** What machines run, under the names of the detector and those of others. */
const programs: ReadonlySet<string> = new Set([
  "application/x-msdownload",
  "application/x-msdos-program",
  "application/x-ms-dos-executable",
  "application/x-dosexec",
  "application/vnd.microsoft.portable-executable",
  "application/x-elf",
  "application/x-executable",
  "application/x-pie-executable",
  "application/x-sharedlib",
  "application/x-object",
  "application/x-coredump",
  "application/vnd.appimage",
  "application/x-mach-binary",
  "application/java-vm",
  "application/x-java-vm",
  "application/wasm"
])

/**
 * The names of each format, its usual one first. Sound and pictures in the same container are one format, because what a
 * file holds is often told beyond its beginning, and recorders name it as they please. So are the relatives of TIFF.
 */
const names: ReadonlyArray<ReadonlyArray<string>> = [
  ["image/jpeg", "image/jpg", "image/pjpeg", "image/jfif", "image/x-jpeg"],
  ["image/png", "image/apng", "image/x-png", "image/vnd.mozilla.apng"],
  ["image/gif"],
  ["image/webp"],
  ["image/heic", "image/heif", "image/heic-sequence", "image/heif-sequence", "image/avif", "image/avif-sequence"],
  [
    "image/tiff",
    "image/tif",
    "image/x-tiff",
    "image/tiff-fx",
    "image/x-adobe-dng",
    "image/dng",
    "image/x-canon-cr2",
    "image/x-nikon-nef",
    "image/x-sony-arw"
  ],
  ["image/bmp", "image/x-bmp", "image/x-ms-bmp", "image/x-windows-bmp"],
  ["image/vnd.microsoft.icon", "image/x-icon", "image/ico", "image/icon"],
  ["image/vnd.adobe.photoshop", "image/x-photoshop", "image/psd", "application/x-photoshop"],
  [
    "image/jp2",
    "image/jpx",
    "image/jpm",
    "image/mj2",
    "video/mj2",
    "video/jpm",
    "image/jpeg2000",
    "image/jpeg2000-image"
  ],
  ["image/jxl"],
  ["image/jxr", "image/vnd.ms-photo"],
  ["image/jls"],
  // Data sets alone, without the preamble of a DICOM file, have no signature, and are refused.
  ["application/dicom", "image/dicom", "image/dicom-rle"],
  [
    "video/mp4",
    "audio/mp4",
    "application/mp4",
    "audio/x-m4a",
    "audio/m4a",
    "audio/x-m4b",
    "video/x-m4v",
    "video/quicktime",
    "video/3gpp",
    "audio/3gpp",
    "video/3gpp2",
    "audio/3gpp2"
  ],
  [
    "video/webm",
    "audio/webm",
    "video/matroska",
    "audio/matroska",
    "video/x-matroska",
    "audio/x-matroska"
  ],
  ["video/ogg", "audio/ogg", "application/ogg", "audio/opus", "audio/vorbis", "audio/speex"],
  ["video/vnd.avi", "video/x-msvideo", "video/avi", "video/msvideo"],
  [
    "video/x-ms-asf",
    "audio/x-ms-asf",
    "application/vnd.ms-asf",
    "video/x-ms-wmv",
    "audio/x-ms-wma"
  ],
  ["video/x-flv"],
  ["video/mpeg", "video/mp1s", "video/mp2p"],
  ["video/mp2t"],
  ["audio/mpeg", "audio/mp3", "audio/x-mp3", "audio/x-mpeg", "audio/mpeg3"],
  ["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"],
  ["audio/aac", "audio/x-aac", "audio/aacp"],
  ["audio/flac", "audio/x-flac"],
  ["audio/aiff", "audio/x-aiff"],
  ["audio/amr", "audio/amr-wb"],
  ["audio/midi", "audio/mid", "audio/x-midi"],
  ["application/pdf", "application/x-pdf"],
  ["application/rtf", "text/rtf"],
  ["application/zip", "application/x-zip", "application/x-zip-compressed"],
  ["application/gzip", "application/x-gzip"],
  ["application/x-7z-compressed"],
  ["application/x-rar-compressed", "application/vnd.rar", "application/x-rar"],
  ["application/x-bzip2"],
  ["application/x-cfb"],
  ["application/xml", "text/xml"]
]

const formats: ReadonlyMap<string, string> = new Map(names.flatMap((same) => same.map((name) => [name, same[0]!])))

const formatOf = (type: string): string => formats.get(type) ?? type

const zip = "application/zip"
const xml = "application/xml"

const ooxml = (type: string): boolean =>
  /^application\/vnd\.openxmlformats-officedocument\.(?!.*xml$)/.test(type)
  || /^application\/vnd\.ms-(excel|word|powerpoint)\.[a-z.]+\.macroenabled\.12$/.test(type)

const zipBased = (type: string): boolean =>
  type.endsWith("+zip") || ooxml(type) || /^application\/vnd\.oasis\.opendocument\.(?!.*xml$)/.test(type)
  || zipBasedNames.has(type)

const zipBasedNames: ReadonlySet<string> = new Set([
  "application/java-archive",
  "application/vnd.apple.keynote",
  "application/vnd.apple.numbers",
  "application/vnd.apple.pages",
  "application/vnd.google-earth.kmz",
  "application/vnd.ms-visio.drawing",
  "image/openraster",
  "model/3mf"
])

/** FlashPix, the files of Office before 2007, and those of today that have a password. */
const cfbBased = (type: string): boolean => cfbBasedNames.has(type) || ooxml(type)

const cfbBasedNames: ReadonlySet<string> = new Set([
  "application/msword",
  "application/vnd.ms-excel",
  "application/vnd.ms-powerpoint",
  "image/vnd.fpx",
  "image/vnd.mix"
])

/** The last are playlists. */
const xmlBased = (type: string): boolean => type.endsWith("+xml") || /^(audio|video)\/x-ms-w[amv]x$/.test(type)

/** Formats that are stored inside of another one, which is all that the beginning of a file may tell. */
const containers: ReadonlyArray<{ readonly container: string; readonly holds: (type: string) => boolean }> = [
  { container: zip, holds: zipBased },
  { container: "application/x-cfb", holds: cfbBased },
  { container: xml, holds: xmlBased },
  // The compressed forms of SVG and others have no names of their own.
  { container: "application/gzip", holds: xmlBased }
]
