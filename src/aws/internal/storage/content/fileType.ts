/** What the first bytes of a file say that it is, by the package file-type: an optional peer, loaded when it is needed. */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as FileType from "file-type"
import { DETECT_TYPE } from "../../deadlines.ts"
import type { Refusal } from "../../errors/invalidInput.ts"

/** The types that the first bytes of a file can be, the likeliest first; none if they have no signature that is known. */
export type Detect = (head: Uint8Array) => Effect.Effect<ReadonlyArray<string>, Unreadable>

/** The detector itself failed, or took too long: nothing is known of the bytes. */
export interface Unreadable {
  readonly _tag: "unreadable"
}

/** As many first bytes of a file as the detector reads. More are not looked at. */
export const headLength = 4100

/** `setting`: what asks for the detector, for the refusal if the package is not installed. */
export const load = (
  setting: string,
  module: () => Promise<Pick<typeof FileType, "fileTypeFromBuffer">> = () => import("file-type")
): Effect.Effect<Detect, Refusal> =>
  Effect.tryPromise({
    try: module,
    catch: (cause): Refusal => ({
      field: setting,
      detail: `needs the package file-type, which cannot be loaded${codeOf(cause)}`,
      hint: "run npm install file-type@21"
    })
  }).pipe(Effect.map(({ fileTypeFromBuffer }) => (head) => {
    // A copy: what is detected is what was given, also if the caller changes it, and of this realm's Uint8Array.
    const bytes = new Uint8Array(head.subarray(0, headLength))
    return Effect.tryPromise({
      try: () => fileTypeFromBuffer(bytes),
      catch: () => unreadable
    }).pipe(
      Effect.timeoutFail({ duration: DETECT_TYPE, onTimeout: () => unreadable }),
      Effect.map((found) => readings(bytes, found?.mime))
    )
  }))

const unreadable: Unreadable = { _tag: "unreadable" }

const codeOf = (cause: unknown): string =>
  Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? ` (${cause.code})` : ""

/** What the package reports, and what it cannot tell by the beginning of a file alone, or not at all. */
const readings = (head: Uint8Array, reported: string | undefined): ReadonlyArray<string> => {
  const text = Buffer.from(head).toString("latin1")
  // Many signatures are a few letters, with which a text may begin: BM, MZ, GIF. Formats that are not text have others.
  if (reported !== undefined && !readable.test(reported) && !/[\0-\x06\x0e-\x1a\x1c-\x1f]/.test(text)) return []
  // A byte-order mark of UTF-16, which is also that of MPEG-1 Layer I sound, a format of no use.
  if (text.startsWith("\xff\xfe") && reported === "audio/mpeg") return []
  // ID3 tags are before all of these. Their pictures are often longer than the head, and then MPEG is reported.
  if (text.startsWith("ID3") && (reported === undefined || reported === "audio/mpeg")) {
    return ["audio/mpeg", "audio/aac", "audio/flac", "audio/aiff"]
  }
  const type = reported ?? overlooked.find(([signature]) => signature.test(text))?.[1]
  if (type === undefined) return []
  // A slide in both formats: DICOM leaves its first 128 bytes to others, of which TIFF is the one that the standard names.
  return type === "image/tiff" && text.startsWith("DICM", 128) ? [type, "application/dicom"] : [type]
}

/** Formats whose files can be text from the first byte to the last. */
const readable = /^text\/|^model\/stl$|^application\/(pdf|xml|rtf|postscript|eps|pgp-encrypted|x-ms-regedit)$/

const overlooked: ReadonlyArray<readonly [RegExp, string]> = [
  // The package looks for the directory, which is mostly at the end of the file.
  [/^(II\*\0|MM\0\*)/, "image/tiff"],
  // Sound of more than 4 GiB.
  [/^(RF64|BW64)....WAVE/s, "audio/wav"],
  // Many programs write a blank line first, and all readers take it.
  [/^\s+%PDF-/, "application/pdf"]
]
