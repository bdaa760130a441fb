/** TLS to the server: what the URL's `ssl-` options ask for, with the certificates and the key read from their files. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import { createPrivateKey, X509Certificate } from "node:crypto"
import * as Fs from "node:fs/promises"
import type { Finding } from "../../../internal/valueChecks.ts"
import type { UrlOptions } from "./urlOptions.ts"

export interface Ssl {
  /** The text of a PEM file; without it, the authorities that Node trusts are used. */
  readonly ca: string | undefined
  /** What the client shows of itself, where the server asks for it. */
  readonly client: ClientCertificate | undefined
  /** The certificate must be signed by one of the authorities. */
  readonly verifyCa: boolean
  /** The certificate must name the host. */
  readonly verifyIdentity: boolean
}

/** The texts of PEM files. */
interface ClientCertificate {
  /** The certificate, and those between it and the authority. */
  readonly certificate: string
  readonly key: Redacted.Redacted
}

/** `undefined`: no encryption. Fails with everything that is wrong with the files: unreadable, not PEM, key of another certificate. */
export const readSsl = (
  { sslCa, sslCert, sslKey, sslMode }: Pick<UrlOptions, "sslCa" | "sslCert" | "sslKey" | "sslMode">
): Effect.Effect<Ssl | undefined, ReadonlyArray<Finding>> => {
  if (sslMode === "DISABLED") return Effect.succeed(undefined)
  return Effect.all([
    Effect.either(readPem("ssl-ca", sslCa, certificateProblem)),
    Effect.either(readPem("ssl-cert", sslCert, certificateProblem)),
    Effect.either(readPem("ssl-key", sslKey, keyProblem))
  ]).pipe(
    Effect.flatMap((results): Effect.Effect<Ssl, ReadonlyArray<Finding>> => {
      const findings = results.flatMap((result) => Either.isLeft(result) ? [result.left] : [])
      const [ca, certificate, key] = results.map(Either.getOrUndefined)
      if (findings.length === 0 && certificate !== undefined && key !== undefined && !match(certificate, key)) {
        findings.push({
          detail: `the key in the file of ssl-key, ${sslKey}, is not that of the certificate in the file of ssl-cert`,
          hint: "give the two files that were made together; the client's certificate comes first in its file"
        })
      }
      return findings.length > 0 ? Effect.fail(findings) : Effect.succeed({
        ca,
        client: certificate === undefined || key === undefined ? undefined : { certificate, key: Redacted.make(key) },
        verifyCa: sslMode !== "REQUIRED",
        verifyIdentity: sslMode === "VERIFY_IDENTITY"
      })
    })
  )
}

/** The text of a PEM file. `problem` says what is wrong with the text, and quotes none of it. */
const readPem = (
  option: string,
  path: string | undefined,
  problem: (pem: string) => Finding | undefined
): Effect.Effect<string | undefined, Finding> =>
  path === undefined ? Effect.succeed(undefined) : Effect.flatMap(
    Effect.tryPromise({
      try: () => Fs.readFile(path, "utf8"),
      catch: (error): Finding => ({
        detail: `the file of ${option}, ${path}, cannot be read (${codeOf(error)})`,
        hint: "check the path and its permissions"
      })
    }),
    (pem) => {
      const found = problem(pem)
      return found === undefined
        ? Effect.succeed(pem)
        : Effect.fail({ ...found, detail: `the file of ${option}, ${path}, ${found.detail}` })
    }
  )

// Node would ignore an invalid certificate and then trust no server, in an error that does not name the file.
const certificateProblem = (pem: string): Finding | undefined => {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? []
  return blocks.length > 0 && blocks.every((block) => Either.isRight(Either.try(() => new X509Certificate(block))))
    ? undefined
    : { detail: "holds no certificates in PEM form" }
}

const keyProblem = (pem: string): Finding | undefined =>
  /^-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(pem)
    ? {
      detail: "holds a key that is encrypted with a passphrase, which is not supported",
      hint: "decrypt it (openssl pkey -in … -out …), and let only this program's user read it"
    }
    : Either.isRight(Either.try(() => createPrivateKey(pem)))
    ? undefined
    : { detail: "holds no private key in PEM form" }

const match = (certificate: string, key: string): boolean =>
  new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))

const codeOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : "unknown error"
