import { describe, expect, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { inspect } from "node:util"
import { fromEnv, type Settings } from "../../../../src/db/internal/settings/settings.ts"

const url = "mysql://app:S3CR3T@db.example.com/main"

const read = (env: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(
    fromEnv("MainDb", "MAIN_DB"),
    ConfigProvider.fromMap(new Map(Object.entries(env).map(([key, value]) => [`MAIN_DB_${key}`, value])))
  )

const problems = (env: Readonly<Record<string, string>>) =>
  Effect.map(Effect.flip(read(env)), ({ problems }) => problems)

describe("TLS", () => {
  const directory = Effect.acquireRelease(
    Effect.promise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), "settings-"))),
    (path) => Effect.promise(() => Fs.rm(path, { recursive: true }))
  )

  const certificate = Effect.map(directory, (path) => {
    const file = Path.join(path, "ca.pem")
    execFileSync("openssl", [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=test".split(" "),
      "-keyout",
      Path.join(path, "key.pem"),
      "-out",
      file
    ], { stdio: "ignore" })
    return file
  })

  it.effect.each<readonly [string, Settings["ssl"]]>([
    ["DISABLED", undefined],
    ["REQUIRED", { ca: undefined, client: undefined, verifyCa: false, verifyIdentity: false }],
    ["VERIFY_CA", { ca: undefined, client: undefined, verifyCa: true, verifyIdentity: false }],
    ["VERIFY_IDENTITY", { ca: undefined, client: undefined, verifyCa: true, verifyIdentity: true }]
  ])(
    "%s",
    ([mode, expected]) =>
      Effect.map(read({ URL: `${url}?ssl-mode=${mode}` }), ({ ssl }) => expect(ssl).toEqual(expected))
  )

  it.scoped("ssl-ca is the text of the file", () =>
    Effect.gen(function*() {
      const file = yield* certificate
      const { ssl } = yield* read({ URL: `${url}?ssl_ca=${encodeURIComponent(file)}` })
      expect(ssl).toMatchObject({ verifyCa: true, verifyIdentity: false })
      expect(ssl?.ca).toContain("BEGIN CERTIFICATE")
    }))

  it.scoped("ssl-cert and ssl-key are read and compared", () =>
    Effect.gen(function*() {
      const [cert, other, path] = yield* Effect.all([certificate, certificate, directory])
      const key = Path.join(Path.dirname(cert), "key.pem")
      const options = (sslCert: string, sslKey: string) => ({
        URL: `${url}?${new URLSearchParams({ "ssl-mode": "REQUIRED", "ssl-cert": sslCert, "ssl-key": sslKey })}`
      })
      const { ssl } = yield* read(options(cert, key))
      expect(ssl).toMatchObject({ ca: undefined, verifyCa: false })
      expect(ssl?.client?.certificate).toContain("BEGIN CERTIFICATE")
      expect(Redacted.value(ssl!.client!.key)).toContain("PRIVATE KEY")
      expect(inspect(ssl, { depth: 9 })).not.toContain("PRIVATE KEY")

      expect(yield* problems(options(other, key))).toMatchObject([
        { setting: "MAIN_DB_URL", detail: expect.stringContaining("is not that of the certificate") }
      ])
      const locked = Path.join(path, "locked.pem")
      execFileSync("openssl", ["pkey", "-in", key, "-aes128", "-passout", "pass:x", "-out", locked])
      expect(yield* problems(options(cert, locked))).toMatchObject([
        { detail: expect.stringContaining("passphrase"), hint: expect.stringContaining("openssl pkey") }
      ])
      // Everything that is wrong, at once.
      const found = yield* problems(options(Path.join(path, "absent.pem"), cert))
      expect(found.map(({ detail }) => detail)).toEqual([
        expect.stringContaining("the file of ssl-cert"),
        expect.stringMatching(/the file of ssl-key, .*ca.pem, holds no private key/)
      ])
    }))

  it.scoped("a file that is absent, or no certificate, is a problem beside the others", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const contents = {
        "empty.pem": "",
        "broken.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
      }
      for (const [name, content] of Object.entries(contents)) {
        yield* Effect.promise(() => Fs.writeFile(Path.join(path, name), content))
      }
      for (
        const [name, words] of [["absent.pem", "ENOENT"], ["", "EISDIR"], ["empty.pem", "no cert"], [
          "broken.pem",
          "no cert"
        ]]
      ) {
        const file = Path.join(path, name ?? "")
        const found = yield* problems({ URL: `${url}?ssl-ca=${encodeURIComponent(file)}`, POOL_SIZE: "0" })
        expect(found.map(({ setting }) => setting).sort()).toEqual(["MAIN_DB_POOL_SIZE", "MAIN_DB_URL"])
        expect(found.map(({ detail }) => detail).join()).toContain(words)
        expect(found.map(({ detail }) => detail).join()).toContain(file)
      }
    }))
})
