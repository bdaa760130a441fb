/** TLS to the server: what the URL's `ssl-mode` and `ssl-ca` ask for, with the certificates read from their file. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { X509Certificate } from "node:crypto"
import * as Fs from "node:fs/promises"
import type { Finding } from "../../../internal/valueChecks.ts"
import type { UrlOptions } from "./urlOptions.ts"

export interface Ssl {
  /** The text of a PEM file; without it, the authorities that Node trusts are used. */
  readonly ca: string | undefined
  /** The certificate must be signed by one of the authorities. */
  readonly verifyCa: boolean
  /** The certificate must name the host. */
  readonly verifyIdentity: boolean
}

/** `undefined`: no encryption. Fails if the file of `ssl-ca` cannot be read or holds no valid certificates. */
export const readSsl = (
  { sslCa: path, sslMode }: Pick<UrlOptions, "sslCa" | "sslMode">
): Effect.Effect<Ssl | undefined, Finding> => {
  if (sslMode === "DISABLED") return Effect.succeed(undefined)
  const checks = { verifyCa: sslMode !== "REQUIRED", verifyIdentity: sslMode === "VERIFY_IDENTITY" }
  if (path === undefined) return Effect.succeed({ ca: undefined, ...checks })
  return Effect.tryPromise({
    try: () => Fs.readFile(path, "utf8"),
    catch: (error): Finding => ({
      detail: `the file of ssl-ca, ${path}, cannot be read (${codeOf(error)})`,
      hint: "check the path and its permissions"
    })
  }).pipe(
    // Node would ignore an invalid certificate and then trust no server, in an error that does not name the file.
    Effect.filterOrFail(
      holdsCertificates,
      (): Finding => ({ detail: `the file of ssl-ca, ${path}, holds no certificates in PEM form` })
    ),
    Effect.map((ca) => ({ ca, ...checks }))
  )
}

const holdsCertificates = (pem: string): boolean => {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? []
  return blocks.length > 0 && blocks.every((block) => Either.isRight(Either.try(() => new X509Certificate(block))))
}

const codeOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : "unknown error"
