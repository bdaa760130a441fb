/** The packets that run a statement. The first four bytes of each are left for the packet's header. */
import { minutesAhead } from "../values/dates.ts"
import * as Types from "./wireTypes.ts"

const QUERY = 0x03
const EXECUTE = 0x17
/** PARAMETER_COUNT_AVAILABLE of the cursor flags: the count and the names of the parameters follow. */
const WITH_COUNT = 8
const UNSIGNED = 0x80
const HEADER = 4

/** COM_QUERY: a text in UTF-8. `attributes`: the server takes some, of which there are none. */
export const queryPacket = (sql: string, attributes: boolean): Buffer => {
  const at = HEADER + (attributes ? 3 : 1)
  const length = Buffer.byteLength(sql)
  const packet = Buffer.allocUnsafe(at + length)
  packet[HEADER] = QUERY
  if (attributes) {
    packet[HEADER + 1] = 0
    packet[HEADER + 2] = 1
  }
  packet.write(sql, at, length, "utf8")
  return packet
}

/**
 * COM_STMT_EXECUTE, with values in types that keep them exact: integers are bound as BIGINT (beyond 64 bits as
 * DECIMAL), other numbers as DOUBLE, booleans as TINYINT, dates as DATETIME in `timezone` (`Z` or an offset), bytes as
 * BLOB, texts in UTF-8. With `attributes`, the count and a name, which is empty, for each.
 */
export const executePacket = (
  statementId: number,
  values: ReadonlyArray<unknown>,
  timezone: string,
  attributes: boolean
): Buffer => {
  const { length: count } = values
  const nulls = (count + 7) >> 3
  const names = attributes ? count : 0
  let size = HEADER + 10 + (attributes ? sizeOfLength(count) : 0) + (count === 0 ? 0 : nulls + 1 + 2 * count + names)
  const lengths: Array<number> = []
  for (let i = 0; i < count; i++) {
    lengths[i] = byteLength(values[i])
    size += sizeOf(values[i], lengths[i]!)
  }
  const packet = Buffer.allocUnsafe(size)
  packet[HEADER] = EXECUTE
  packet.writeUInt32LE(statementId, 5)
  packet[9] = attributes ? WITH_COUNT : 0
  packet.writeUInt32LE(1, 10)
  let at = attributes ? writeLength(packet, count, 14) : 14
  if (count === 0) return packet
  const bitmap = at
  packet.fill(0, bitmap, bitmap + nulls)
  at += nulls
  packet[at++] = 1
  for (let i = 0; i < count; i++) {
    const value = values[i]
    if (value === null) packet[bitmap + (i >> 3)]! |= 1 << (i & 7)
    packet[at++] = typeOf(value)
    packet[at++] = typeof value === "bigint" && isUnsigned(value) ? UNSIGNED : 0
    if (attributes) packet[at++] = 0
  }
  const ahead = minutesAhead(timezone)
  for (let i = 0; i < count; i++) at = write(packet, values[i], lengths[i]!, at, ahead)
  return packet
}

const isInteger = (value: number): boolean => Number.isSafeInteger(value) && !Object.is(value, -0)
const isSigned = (value: bigint): boolean => BigInt.asIntN(64, value) === value
const isUnsigned = (value: bigint): boolean => !isSigned(value) && BigInt.asUintN(64, value) === value
const is64Bits = (value: bigint): boolean => isSigned(value) || isUnsigned(value)

const typeOf = (value: unknown): number => {
  switch (typeof value) {
    case "string":
      return Types.VAR_STRING
    case "number":
      return isInteger(value) ? Types.LONGLONG : Types.DOUBLE
    case "bigint":
      return is64Bits(value) ? Types.LONGLONG : Types.NEWDECIMAL
    case "boolean":
      return Types.TINY
    default:
      return value === null ? Types.NULL : value instanceof Date ? Types.DATETIME : Types.BLOB
  }
}

/** The bytes of a text or of bytes, without the length before them; 0 for what has a fixed size. */
const byteLength = (value: unknown): number => {
  if (typeof value === "string") return Buffer.byteLength(value)
  if (typeof value === "bigint") return is64Bits(value) ? 0 : String(value).length
  return value instanceof Uint8Array ? value.length : 0
}

const sizeOf = (value: unknown, length: number): number => {
  switch (typeof value) {
    case "number":
      return 8
    case "boolean":
      return 1
    case "bigint":
      return length === 0 ? 8 : sizeOfLength(length) + length
    case "string":
      return sizeOfLength(length) + length
    default:
      return value === null ? 0 : value instanceof Date ? 12 : sizeOfLength(length) + length
  }
}

const write = (packet: Buffer, value: unknown, length: number, at: number, ahead: number): number => {
  switch (typeof value) {
    case "string":
      return writeText(packet, value, length, at)
    case "number":
      if (!isInteger(value)) return packet.writeDoubleLE(value, at)
      packet.writeUInt32LE(value >>> 0, at)
      return packet.writeInt32LE(Math.floor(value / 0x1_0000_0000), at + 4)
    case "bigint":
      if (length > 0) return writeText(packet, String(value), length, at)
      return isSigned(value) ? packet.writeBigInt64LE(value, at) : packet.writeBigUInt64LE(value, at)
    case "boolean":
      return packet.writeUInt8(value ? 1 : 0, at)
    default:
      if (value === null) return at
      if (value instanceof Date) return writeMoment(packet, value, at, ahead)
      const start = writeLength(packet, length, at)
      packet.set(value as Uint8Array, start)
      return start + length
  }
}

const writeText = (packet: Buffer, value: string, length: number, at: number): number => {
  const start = writeLength(packet, length, at)
  packet.write(value, start, length, "utf8")
  return start + length
}

const writeMoment = (packet: Buffer, value: Date, at: number, ahead: number): number => {
  const local = ahead === 0 ? value : new Date(value.getTime() + ahead * 60_000)
  packet[at] = 11
  packet.writeUInt16LE(local.getUTCFullYear(), at + 1)
  packet[at + 3] = local.getUTCMonth() + 1
  packet[at + 4] = local.getUTCDate()
  packet[at + 5] = local.getUTCHours()
  packet[at + 6] = local.getUTCMinutes()
  packet[at + 7] = local.getUTCSeconds()
  return packet.writeUInt32LE(local.getUTCMilliseconds() * 1000, at + 8)
}

/** Lengths of the protocol: one byte up to 250, or a mark and two, three or eight bytes. */
const sizeOfLength = (length: number): number => length < 251 ? 1 : length < 0x1_0000 ? 3 : length < 0x100_0000 ? 4 : 9

const writeLength = (packet: Buffer, length: number, at: number): number => {
  if (length < 251) {
    packet[at] = length
    return at + 1
  }
  if (length < 0x1_0000) {
    packet[at] = 0xfc
    return packet.writeUInt16LE(length, at + 1)
  }
  if (length < 0x100_0000) {
    packet[at] = 0xfd
    return packet.writeUIntLE(length, at + 1, 3)
  }
  packet[at] = 0xfe
  packet.writeUInt32LE(length, at + 1)
  return packet.writeUInt32LE(0, at + 5)
}
