/**
 * S3 servers that check each request's signature, each a process of its own: OpenStack Swift with s3api, as it is now and as
 * Debian's stable release has it.
 */
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Unavailable } from "../../../scripts/servers/programs.ts"
import type { ConfigurationError } from "../../../src/Errors.ts"
import { startPythonServer } from "./pythonServer.ts"

/** What AWS does and not every server. Tests of these ask {@link can} of `onRealS3.ts` first. */
export type Ability =
  /** PutObject and CompleteMultipartUpload with `If-None-Match: *`. */
  | "conditionalCreate"
  /** PutObject with `If-Match`. */
  | "conditionalReplace"
  /** It compares what arrives with x-amz-checksum-crc32c and -crc64nvme. CRC32, SHA-1 and SHA-256 all of them compare. */
  | "rareChecksums"
  /** HeadObject gives the checksum that the upload had. */
  | "storedChecksums"
  /** An access key that does not exist has an error of its own, InvalidAccessKeyId. */
  | "namesUnknownKeys"
  /** Forms with a signed policy (presigned POST). */
  | "presignedPost"
  | "tagging"
  | "serverSideEncryption"
  | "objectAttributes"
  | "cors"
  | "lifecycle"

const swiftCannot = [
  ...["conditionalReplace", "storedChecksums", "namesUnknownKeys", "presignedPost"] as const,
  ...["tagging", "serverSideEncryption", "objectAttributes", "cors", "lifecycle"] as const
]

/** The servers that TEST_S3 may name, and what each cannot do. Storage.real.integration.test.ts compares the two. */
export const cannot = {
  "swift-2.38": swiftCannot,
  "swift-2.35": [...swiftCannot, "conditionalCreate", "rareChecksums"]
} satisfies Record<string, ReadonlyArray<Ability>>

export type S3ServerName = keyof typeof cannot

export const s3ServerNames = Object.keys(cannot) as ReadonlyArray<S3ServerName>

/** A server, and the one account that it has. */
export interface RealS3 {
  readonly name: S3ServerName
  readonly endpoint: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** Starts that server; the scope ends it. */
export const startS3 = (
  name: S3ServerName
): Effect.Effect<RealS3, Unavailable | ConfigError | ConfigurationError, Scope.Scope> =>
  Effect.map(
    startPythonServer(name, "swiftServer.py", (folder) => {
      mkdirSync(join(folder, "disk"))
      for (const [file, content] of Object.entries(swiftFiles(folder))) writeFileSync(join(folder, file), content)
    }),
    (endpoint) => ({ name, endpoint, region, accessKeyId, secretAccessKey })
  )

const region = "eu-west-1"
/** The account and the user of tempauth. */
const accessKeyId = "clinic:uploader"
const secretAccessKey = "wJalrXUtnFEMI-K7MDENG-of-the-uploader"

const filters = [
  ...["catch_errors", "gatekeeper", "cache", "listing_formats", "s3api", "tempauth"],
  ...["copy", "dlo", "slo", "versioned_writes", "symlink"]
]

const settingsOf: Readonly<Record<string, string>> = {
  // tempauth asks for a cache to keep tokens in, which S3 does not use. Nothing can listen on port 0: nothing is cached.
  cache: "use = egg:swift#memcache\nmemcache_servers = 127.0.0.1:0",
  s3api: `use = egg:swift#s3api\nlocation = ${region}`,
  tempauth: `use = egg:swift#tempauth\nuser_${accessKeyId.replace(":", "_")} = ${secretAccessKey} .admin`,
  versioned_writes: "use = egg:swift#versioned_writes\nallow_object_versioning = true"
}

const swiftFiles = (folder: string): Readonly<Record<string, string>> => ({
  "swift.conf": `
[swift-hash]
swift_hash_path_suffix = tests

[storage-policy:0]
name = default
default = yes
`,
  ...Object.fromEntries(["account", "container", "object"].map((name) => [
    `${name}.conf`,
    `
[DEFAULT]
swift_dir = ${folder}
devices = ${folder}
mount_check = false

[pipeline:main]
pipeline = ${name}-server

[app:${name}-server]
use = egg:swift#${name}
`
  ])),
  "proxy.conf": `
[DEFAULT]
swift_dir = ${folder}

[pipeline:main]
pipeline = ${filters.join(" ")} proxy-server

${filters.map((name) => `[filter:${name}]\n${settingsOf[name] ?? `use = egg:swift#${name}`}\n`).join("\n")}
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
`
})
