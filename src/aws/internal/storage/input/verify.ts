/** Compares the first bytes of an upload with its content type, before any of them is sent. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { ServiceError } from "../../../../Errors.ts"
import { invalidInput } from "../../errors/invalidInput.ts"
import type { Body } from "../backend.ts"
import * as FileType from "../content/fileType.ts"
import * as Sniff from "../content/sniff.ts"
import { isBytes, notBytes } from "./data.ts"

export const verified = <E, R>(
  operation: string,
  contentType: string,
  body: Body<E, R>
): Effect.Effect<Body<ServiceError | E, R>, ServiceError> =>
  Effect.flatMap(detector(operation), (detect): Effect.Effect<Body<ServiceError | E, R>, ServiceError> => {
    const verify = (head: Uint8Array): Effect.Effect<void, ServiceError> =>
      Effect.mapError(
        Sniff.verify(detect, head, contentType),
        (refusal) => invalidInput("S3", operation, refusal)
      )
    return body._tag === "Bytes"
      ? Effect.as(verify(body.bytes.subarray(0, FileType.headLength)), body)
      : Effect.succeed({ ...body, stream: verifiedStream(operation, body.stream, verify) })
  })

/** A backend sends nothing before it has a part of the stream, or all of it; the head is in it. */
const verifiedStream = <E, R>(
  operation: string,
  stream: Stream.Stream<Uint8Array, E, R>,
  verify: (head: Uint8Array) => Effect.Effect<void, ServiceError>
): Stream.Stream<Uint8Array, ServiceError | E, R> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const pull = yield* Stream.toPull(stream)
    const held: Array<Uint8Array> = []
    let length = 0
    while (length < FileType.headLength) {
      const chunks = yield* Effect.catchAll(pull, (end) =>
        Option.isSome(end) ? Effect.fail(end.value) : Effect.succeed(undefined))
      if (chunks === undefined) {
        break
      }
      // A source may use its buffer again.
      for (const chunk of chunks) {
        if (!isBytes(chunk)) {
          return yield* notBytes(operation)
        }
        held.push(new Uint8Array(chunk))
        length += chunk.byteLength
      }
    }
    yield* verify(Buffer.concat(held).subarray(0, FileType.headLength))
    return Stream.concat(Stream.fromIterable(held), Stream.fromPull(Effect.succeed(pull)))
  }))

const detector = (operation: string): Effect.Effect<FileType.Detect, ServiceError> =>
  Effect.mapError(FileType.load("verifyContent"), ({ detail, field, hint }) =>
    new ServiceError({
      service: "S3",
      operation,
      reason: "NotConfigured",
      retryable: false,
      attempts: 0,
      field,
      detail: `${field} ${detail}`,
      ...(hint === undefined ? {} : { hint })
    }))
