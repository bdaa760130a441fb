/** What every Storage must do. A small file runs it for each layer. */
import { layer } from "@effect/vitest"
import type * as Layer from "effect/Layer"
import type { Storage } from "../../src/aws/Storage.ts"
import { copying } from "./storage/copying.ts"
import { data } from "./storage/data.ts"
import { deleting } from "./storage/deleting.ts"
import { listing } from "./storage/listing.ts"
import { put } from "./storage/put.ts"
import { reading } from "./storage/reading.ts"
import { refusals } from "./storage/refusals.ts"
import type { Capabilities, Subject } from "./storage/subject.ts"
import { uploads } from "./storage/uploads.ts"

const everything: Capabilities = {
  conditions: true,
  lists: true,
  headers: true,
  extras: true,
  copiedTypes: true,
  longSuffixes: true
}

/** `can`: what the server behind the layer cannot do is set to false. */
export const storageContract = <E>(
  name: string,
  storage: Layer.Layer<Storage, E>,
  urlBase: string,
  bucket: string,
  can: Partial<Capabilities> = {}
): void =>
  layer(storage, { timeout: 30_000 })(name, (it) => {
    const subject: Subject = { urlBase, bucket, can: { ...everything, ...can } }
    uploads(it, subject)
    data(it)
    put(it, subject)
    reading(it, subject)
    listing(it, subject)
    copying(it, subject)
    deleting(it)
    refusals(it)
  })
