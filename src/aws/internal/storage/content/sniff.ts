/**
 * Whether the bytes of a file are of the type that is claimed for it.
 *
 * The first bytes tell what a file pretends to be, not whether the rest keeps to it: a GIF whose comment is a script is a
 * GIF. What browsers do with a file follows from its content type, so a file that matches is run as nothing else.
 */
import * as Effect from "effect/Effect"
import type { Refusal } from "../../errors/invalidInput.ts"
import type { Detect } from "./fileType.ts"
import { compare } from "./formats.ts"

/** Refuses a file whose first bytes are of another type, or of none although the claimed one has a signature. */
export const verify = (detect: Detect, head: Uint8Array, contentType: string): Effect.Effect<void, Refusal> =>
  Effect.matchEffect(detect(head), {
    onFailure: () => refused("cannot be checked: its type could not be detected"),
    onSuccess: (readings) => {
      const verdict = compare(contentType, readings)
      if (verdict._tag !== "mismatch") return Effect.void
      const { claimed, found } = verdict
      return refused(
        found === undefined
          ? `is not ${claimed}: it begins like no file of that type, nor of another that is known`
          : `is not ${claimed} but ${found}, by its first bytes`
      )
    }
  })

const refused = (detail: string): Effect.Effect<never, Refusal> =>
  Effect.fail({ field: "data", detail, hint: "upload it with the content type and the extension that it has" })
