/** The checksum that S3 sends with an object, computed while the object is read. */
import { createHash } from "node:crypto"
import * as zlib from "node:zlib"

export interface Checksum {
  readonly update: (bytes: Uint8Array) => void
  readonly matches: () => boolean
}

/**
 * None if the server sent none that covers all bytes: the checksum of an object that was stored by parts is often one of
 * their checksums, with a hyphen. CRC32C and CRC64NVME are not computed: in JavaScript that takes longer than the download.
 */
export const checksumOf = (headers: Readonly<Record<string, string>>): Checksum | undefined => {
  const whole = (name: string): string | undefined => {
    const value = headers[`x-amz-checksum-${name}`]
    return value === undefined || value.includes("-") ? undefined : value
  }
  const crc = whole("crc32")
  if (crc !== undefined) return crc32Checksum(crc)
  const sha256 = whole("sha256")
  if (sha256 !== undefined) return shaChecksum("sha256", sha256)
  const sha1 = whole("sha1")
  return sha1 === undefined ? undefined : shaChecksum("sha1", sha1)
}

const shaChecksum = (algorithm: string, expected: string): Checksum => {
  const hash = createHash(algorithm)
  return {
    update: (bytes) => void hash.update(bytes),
    matches: () => hash.digest("base64") === expected
  }
}

const crc32Checksum = (expected: string): Checksum => {
  let value = 0
  return {
    update: (bytes) => {
      value = crc32(bytes, value)
    },
    matches: () => {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(value)
      return bytes.toString("base64") === expected
    }
  }
}

const table = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1
  return value
})

/** Node has its own since 20.15. */
const crc32: (bytes: Uint8Array, value: number) => number = "crc32" in zlib
  ? zlib.crc32 as (bytes: Uint8Array, value: number) => number
  : (bytes, value) => {
    let crc = ~value
    for (const byte of bytes) crc = (table[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8)
    return ~crc >>> 0
  }
