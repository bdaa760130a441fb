/** The content type of an upload, and whether it fits the category of the upload. */
import * as Either from "effect/Either"
import mime from "mime"
import { categories, type Category } from "../../StorageKey.ts"
import { type Refusal, refuse } from "../errors/invalidInput.ts"

/** The categories that media types begin with (image, video, audio). An attachment may have any type. */
const media: ReadonlySet<string> = new Set(categories.filter((category) => category !== "attachment"))

/** These formats hold sound as well as pictures; browsers record voice as webm and mp4. */
const containers: ReadonlySet<string> = new Set(["webm", "mp4", "ogg", "3gp", "3g2"])

export const ofExtension = (category: Category, fileExtension: string): Either.Either<string, Refusal> => {
  const type = mime.getType(fileExtension) ?? "application/octet-stream"
  if ((category === "audio" || category === "video") && containers.has(fileExtension)) {
    return Either.right(type.replace(/^(audio|video)\//, `${category}/`))
  }
  return fits(category, type)
    ? Either.right(type)
    : refuse("fileExtension", `stands for ${type}, which is not ${category}`, asAttachment)
}

export const explicit = (category: Category, value: unknown): Either.Either<string, Refusal> => {
  if (typeof value !== "string" || !contentTypeSyntax.test(value)) {
    return refuse("contentType", "must be a media type such as image/png or text/plain; charset=utf-8")
  }
  return fits(category, value.toLowerCase())
    ? Either.right(value)
    : refuse("contentType", `is not ${category}`, asAttachment)
}

const asAttachment = "upload it as an attachment"

/** Refuses only the media types of another category: medical images, for example, often have application types. */
const fits = (category: Category, type: string): boolean => {
  const main = type.slice(0, type.indexOf("/"))
  return category === "attachment" || main === category || !media.has(main)
}

/** RFC 9110, section 8.3.1, in at most 255 characters. */
const contentTypeSyntax =
  /^(?=.{1,255}$)[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:[ \t]*;[ \t]*[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|"[\x20\x21\x23-\x5b\x5d-\x7e]*"))*$/
