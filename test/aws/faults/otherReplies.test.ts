/** Replies that cannot be those of their request, say that it failed although it has not, or repeat what was sent. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { inspect } from "node:util"
import { Storage } from "../../../src/aws/Storage.ts"
import { fakeS3 } from "../../support/aws/fakeS3.ts"
import { s3Error } from "../../support/aws/faultServer.ts"
import { chunks, input, mebibyte, withStorage } from "../../support/aws/faultStage.ts"
import { settings } from "../../support/aws/settings.ts"

/** The endpoint of a server that answers a PUT before it reads its body. */
const hasty = Effect.acquireRelease(
  Effect.async<http.Server>((resume) => {
    const server = http.createServer((request, response) => {
      request.on("error", () => {})
      response.writeHead(request.method === "PUT" ? 200 : 404, { etag: "\"early\"" }).end()
    })
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) =>
    Effect.sync(() => {
      server.close()
      server.closeAllConnections()
    })
).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`))

describe("an upload has not succeeded", () => {
  it.scopedLive("if its reply comes before the body was sent", () =>
    Effect.gen(function*() {
      const storage = Layer.orDie(Layer.provide(Storage.layer, settings(yield* hasty)))
      const error = yield* Effect.flatMap(Storage, ({ uploadImage }) =>
        Effect.flip(uploadImage({ ...input, data: new Uint8Array(8 * mebibyte) }))).pipe(Effect.provide(storage))
      expect(error).toMatchObject({ reason: "ConnectionLost", outcome: "unknown", attempts: 3 })
    }))

  it.live("if its reply has the checksum of other bytes, and an object of the same size says nothing then", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const headers = { etag: "\"other\"", "x-amz-checksum-crc32": "AAAAAA==" }
        const s3 = fakeS3(server, (operation) => operation === "Put" ? { status: 200, headers } : undefined)
        const error = yield* Effect.flip(storage.uploadImage(input))
        expect(error).toMatchObject({ reason: "Checksum", outcome: "unknown", attempts: 3 })
        expect(s3.operations()).toEqual(["Put", "Put", "Put", "Delete"])
      })
    ))

  it.live("and is repeated, if only one reply was that of another request", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const headers = { etag: "\"other\"", "x-amz-checksum-crc32": "AAAAAA==" }
        fakeS3(server, (operation, index) => operation === "Put" && index === 0 ? { status: 200, headers } : undefined)
        expect(yield* storage.uploadImage(input)).toMatchObject({ etag: "\"put\"" })
      })
    ))
})

describe("an upload may have succeeded", () => {
  const failed = "<Error><Code>InternalError</Code></Error>"

  it.live("if its completion has failed within a reply of status 200, and its parts are gone afterwards", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server, (operation, index) =>
          operation === "Complete"
            ? index % 2 === 0 ? { status: 200, body: failed } : s3Error(404, "NoSuchUpload")
            : operation === "Head"
            ? { status: 200, headers: { etag: "\"kept\"", "content-length": String(9 * mebibyte) } }
            : undefined)
        const data = chunks(9)
        expect(yield* storage.uploadVideo({ ...input, fileExtension: "mp4", data })).toMatchObject({ etag: "\"kept\"" })
        expect(yield* Effect.flip(storage.put("k", data))).toMatchObject({
          reason: "ObjectNotFound",
          outcome: "unknown"
        })
      })
    ))

  it.live("if an attempt was given up (408) after its last byte, whatever the next one is told", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        fakeS3(server, (operation, index) =>
          operation !== "Put" ? undefined : index === 0 ? s3Error(408, "RequestTimeout") : s3Error(403, "AccessDenied"))
        expect(yield* Effect.flip(storage.uploadImage(input))).toMatchObject({
          reason: "AccessDenied",
          outcome: "unknown"
        })
      })
    ))
})

describe("what was sent for the signature", () => {
  it.live("is not shown where a reply has it in place of a code or of an id", () =>
    withStorage((storage, server) =>
      Effect.gen(function*() {
        const sent = (headers: http.IncomingHttpHeaders) =>
          `${headers.authorization} ${headers["x-amz-security-token"]}`
        server.answer(({ headers }) => s3Error(403, `No: ${sent(headers)}`, "no"))
        const byCode = yield* Effect.flip(storage.readBytes("k"))
        server.answer(({ headers }) => ({ status: 400, headers: { "x-amz-request-id": sent(headers) } }))
        const byId = yield* Effect.flip(storage.readBytes("k"))
        for (const error of [byCode, byId]) {
          const shown = inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error) + error.message
          expect(shown).not.toMatch(/Signature=|EXAMPLETOKEN/)
        }
      })
    ))
})
