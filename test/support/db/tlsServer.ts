/** Servers that speak TLS, with certificates made for the test by the `openssl` command. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { make as makeMysql } from "../../../src/local/internal/mysql.ts"
import { type Command, run } from "../../../src/local/internal/process.ts"
import { binaries, installed, type Source } from "../../../src/local/internal/servers.ts"
import type { TestMysql } from "../globalSetup.ts"

export interface TlsServers {
  /** Its certificate is for `localhost`. */
  readonly right: TestMysql
  /** Its certificate is for another host. */
  readonly misnamed: TestMysql
  /** Paths of PEM files: the authority that signed both, and one that signed neither. */
  readonly authority: string
  readonly stranger: string
  /** What clients show: signed by the authority, and by the stranger. */
  readonly client: ClientFiles
  readonly impostor: ClientFiles
}

/** Paths of PEM files. */
export interface ClientFiles {
  readonly certificate: string
  readonly key: string
}

/** What this machine lacks for them, if anything. */
export const missing: Effect.Effect<string | undefined> = Effect.gen(function*() {
  const { code } = yield* run({ command: "openssl", args: ["version"] }, "10 seconds")
  if (code !== 0) return "the openssl command"
  return yield* Effect.match(installed(binaries), { onFailure: () => "a server binary", onSuccess: () => undefined })
})

export class Tls extends Context.Tag("test/Tls")<Tls, TlsServers>() {
  static readonly layer: Layer.Layer<Tls> = Layer.scoped(Tls, Effect.suspend(() => Effect.orDie(make)))
}

const make = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "tls-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const [authority, stranger] = yield* Effect.all([
    makeAuthority(folder, "authority"),
    makeAuthority(folder, "stranger")
  ])
  const [right, misnamed] = yield* Effect.all(
    [makeServer(folder, authority, "localhost"), makeServer(folder, authority, "db.example.com")],
    { concurrency: 2 }
  )
  const [client, impostor] = yield* Effect.all([
    makeCertificate(folder, authority, "client"),
    makeCertificate(folder, stranger, "impostor")
  ])
  return { right, misnamed, authority: authority.certificate, stranger: stranger.certificate, client, impostor }
})

type Authority = ClientFiles

const newKey = (key: string) => ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key]

const makeAuthority = (folder: string, name: string): Effect.Effect<Authority> => {
  const made = { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) }
  return Effect.as(
    openssl(["req", "-x509", ...newKey(made.key), "-days", "2", "-subj", `/CN=${name}`, "-out", made.certificate]),
    made
  )
}

const makeCertificate = (folder: string, authority: Authority, name: string): Effect.Effect<ClientFiles> =>
  Effect.gen(function*() {
    const path = (suffix: string) => join(folder, `${name}.${suffix}`)
    yield* Effect.promise(() => writeFile(path("ext"), `subjectAltName=DNS:${name}\n`))
    yield* openssl(["req", ...newKey(path("key")), "-subj", `/CN=${name}`, "-out", path("csr")])
    yield* openssl([
      ...["x509", "-req", "-in", path("csr"), "-CA", authority.certificate, "-CAkey", authority.key],
      ...["-set_serial", String(name.length), "-days", "2", "-extfile", path("ext"), "-out", path("pem")]
    ])
    return { certificate: path("pem"), key: path("key") }
  })

const makeServer = (
  folder: string,
  authority: Authority,
  host: string
): Effect.Effect<TestMysql, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const { certificate, key } = yield* makeCertificate(folder, authority, host)
    const withTls = [`--ssl-cert=${certificate}`, `--ssl-key=${key}`, `--ssl-ca=${authority.certificate}`]
    const source: Source = Effect.map(installed(binaries), (recipe) => ({
      ...recipe,
      serve: (at: string, port: number): Command => {
        const { args, command } = recipe.serve(at, port)
        return { command, args: [...args, ...withTls] }
      }
    }))
    // Not the server of LOCAL_MYSQL_URL.
    const { host: address, password, pid, port, server: { kind }, user } = yield* Effect.withConfigProvider(
      makeMysql([source]),
      ConfigProvider.fromMap(new Map())
    )
    return { kind, host: address, port, user, password: Redacted.value(password), pid, entry: { host: address, port } }
  })

const openssl = (args: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.flatMap(
    run({ command: "openssl", args }, "30 seconds"),
    ({ code, output }) => code === 0 ? Effect.void : Effect.dieMessage(`openssl ${args[0]}: ${output}`)
  )
