/**
 * The content type of an upload, and whether it fits the category of the upload.
 *
 * A type fits an image, a video or an audio file if
 * - it is of that family (`image/…`). That includes SVG, which is an image that can run: see `isActive`;
 * - or it is one of the few application types of such files, DICOM among them;
 * - or it is `application/octet-stream`, which says nothing: the formats of instruments are many.
 *
 * An attachment may have any type. The extension has to fit along with a type that is given, because it decides what a
 * saved file is opened with.
 */
import * as Either from "effect/Either"
import mime from "mime"
import type { Category } from "../../StorageKey.ts"
import { type Refusal, refuse } from "../errors/invalidInput.ts"
import { essence } from "./content/essence.ts"

/** The given type, or the one that belongs to the extension. */
export const contentType = (
  category: Category,
  fileExtension: string,
  given: unknown
): Either.Either<string, Refusal> => {
  const byExtension = ofExtension(category, fileExtension)
  const checked = given === undefined ? Either.right(undefined) : mediaType(given)
  if (Either.isLeft(checked)) return Either.left(checked.left)
  if (byExtension !== undefined && !fits(category, byExtension)) {
    return refuse("fileExtension", `stands for ${byExtension}, which is not ${category}`, asAttachment)
  }
  const type = checked.right
  if (type === undefined) return Either.right(byExtension ?? octets)
  return fits(category, essence(type)) || essence(type) === octets
    ? Either.right(type)
    : refuse("contentType", `is no type of ${category} files`, asAttachment)
}

export const mediaType = (value: unknown): Either.Either<string, Refusal> =>
  typeof value === "string" && contentTypeSyntax.test(value)
    ? Either.right(value)
    : refuse("contentType", "must be a media type such as image/png or text/plain; charset=utf-8")

/** The type that belongs to the extension of a key. */
export const ofKey = (key: string): string => mime.getType(key) ?? octets

const octets = "application/octet-stream"

const asAttachment = "upload it as an attachment"

/** Application types of files that are nothing but images, video or audio. A DICOM file holds one image or many. */
const alsoFits: Readonly<Record<Category, ReadonlyArray<string>>> = {
  image: ["application/dicom"],
  video: ["application/dicom", "application/ogg", "application/mxf"],
  audio: ["application/ogg"],
  attachment: []
}

const fits = (category: Category, type: string): boolean =>
  category === "attachment" || type.startsWith(`${category}/`) || alsoFits[category].includes(type)

/** These formats hold sound as well as pictures; browsers record voice as webm and mp4. */
const containers: ReadonlySet<string> = new Set(["webm", "mp4", "ogg", "3gp", "3g2"])

/** Extensions of data of any kind; `img` is the image of the Analyze and NIfTI formats. */
const anyData: ReadonlySet<string> = new Set(["bin", "img"])

/** None for an extension that stands for no type. */
const ofExtension = (category: Category, fileExtension: string): string | undefined => {
  const type = anyData.has(fileExtension) ? null : mime.getType(fileExtension)
  return (category === "audio" || category === "video") && containers.has(fileExtension)
    ? type?.replace(/^(audio|video)\//, `${category}/`)
    : type ?? undefined
}

/** RFC 9110, section 8.3.1, in at most 255 characters. */
const contentTypeSyntax =
  /^(?=.{1,255}$)[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:[ \t]*;[ \t]*[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|"[\x20\x21\x23-\x5b\x5d-\x7e]*"))*$/
