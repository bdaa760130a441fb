/** Whatever the SDK's own variables and the profiles on the machine say, the request is the same. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { S3, Sqs } from "../../src/aws/Clients.ts"
import { Queue } from "../../src/aws/Queue.ts"
import { Storage } from "../../src/aws/Storage.ts"
import { capturedRequest } from "../support/aws/capturedRequest.ts"
import { Faults, type Seen } from "../support/aws/faultServer.ts"
import { input, queueUrl } from "../support/aws/faultStage.ts"
import { settings } from "../support/aws/settings.ts"
import { keepEnvironment } from "../support/keepEnvironment.ts"

const elsewhere = "http://elsewhere.example"

/** Each of them is valid for the SDK. */
const misleading: Readonly<Record<string, string>> = {
  AWS_ENDPOINT_URL: elsewhere,
  AWS_ENDPOINT_URL_S3: elsewhere,
  AWS_ENDPOINT_URL_SQS: elsewhere,
  AWS_USE_FIPS_ENDPOINT: "true",
  AWS_USE_DUALSTACK_ENDPOINT: "true",
  AWS_REGION: "us-west-2",
  AWS_DEFAULT_REGION: "us-west-2",
  AWS_ACCESS_KEY_ID: "AKIDOFTHEMACHINE",
  AWS_SECRET_ACCESS_KEY: "of the machine",
  AWS_SESSION_TOKEN: "of the machine",
  AWS_ACCOUNT_ID: "999999999999",
  AWS_ACCOUNT_ID_ENDPOINT_MODE: "required",
  AWS_REQUEST_CHECKSUM_CALCULATION: "when_required",
  AWS_RESPONSE_CHECKSUM_VALIDATION: "when_required",
  AWS_MAX_ATTEMPTS: "1",
  AWS_RETRY_MODE: "adaptive",
  AWS_DEFAULTS_MODE: "mobile",
  AWS_AUTH_SCHEME_PREFERENCE: "sigv4a,httpBearerAuth",
  AWS_SIGV4A_SIGNING_REGION_SET: "*",
  AWS_BEARER_TOKEN_S3: "of the machine",
  AWS_BEARER_TOKEN_SQS: "of the machine",
  AWS_S3_USE_ARN_REGION: "true",
  AWS_S3_US_EAST_1_REGIONAL_ENDPOINT: "legacy",
  AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS: "true",
  AWS_S3_DISABLE_EXPRESS_SESSION_AUTH: "true",
  AWS_DISABLE_CLOCK_SKEW_CORRECTION: "true",
  AWS_DISABLE_REQUEST_COMPRESSION: "true",
  AWS_ENABLE_DEFAULT_SOCKET_TIMEOUT_2026: "true",
  AWS_SDK_UA_APP_ID: "of-the-machine"
}

/** Values that the SDK does not know. */
const invalid: Readonly<Record<string, string>> = Object.fromEntries(
  Object.keys(misleading).map((name) => [name, name.includes("ENDPOINT_URL") ? "not a URL" : "nonsense"])
)

/** A config file in which the default profile and another one have every setting. */
const configFile = (values: Readonly<Record<string, string>>): string => {
  const lines = Object.entries(values).map(([name, value]) =>
    `${
      name.replace(/^AWS_(?=ENDPOINT|USE|REQUEST|RESPONSE|RETRY|MAX|DEFAULTS|AUTH|SIGV4A|SDK|DISABLE)/, "")
        .toLowerCase()
    } = ${value}`
  )
  const profile = [
    ...lines,
    "region = us-west-2",
    `s3_use_arn_region = ${values["AWS_S3_USE_ARN_REGION"]}`,
    `s3_disable_express_session_auth = ${values["AWS_S3_DISABLE_EXPRESS_SESSION_AUTH"]}`,
    "services = redirected"
  ]
  return [
    "[default]",
    ...profile,
    "[profile other]",
    ...profile,
    "[services redirected]",
    "s3 =",
    `  endpoint_url = ${elsewhere}`,
    "sqs =",
    `  endpoint_url = ${elsewhere}`
  ].join("\n")
}

const VOLATILE = ["x-amz-date", "amz-sdk-invocation-id", "host"]

/** What of a request has to be equal: all but the time, the port, random ids and the signature over them. */
const essence = ({ body, headers, method, path }: Seen) => ({
  method,
  path: path.replace(/[0-9]{8}T[0-9]{9}Z_[0-9a-f-]{36}/, "(timestamp and uuid)"),
  body: body.toString("latin1"),
  headers: Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => !VOLATILE.includes(name))
      .map(([name, value]) => [name, String(value).replace(/\d{8}\//, "").replace(/Signature=.*/, "")])
  )
})

/** The requests of one upload and one message, and where they would have gone without an endpoint of ours. */
const requests = Effect.gen(function*() {
  const server = yield* Faults
  server.answer((_, index) => ({ status: index === 0 ? 503 : 200, headers: { etag: "\"x\"" } }))
  yield* Effect.flatMap(Storage, (storage) => storage.uploadImage(input)).pipe(
    Effect.provide(Layer.provide(Storage.layer, settings(server.endpoint)))
  )
  yield* Effect.flatMap(Queue, (queue) => Effect.either(queue.enqueue({ a: 1 }))).pipe(
    Effect.provide(Layer.provide(Queue.layer, settings(server.endpoint, { AWS_SQS_QUEUE_URL: queueUrl })))
  )
  const hosts = yield* Effect.gen(function*() {
    return [yield* capturedRequest(yield* S3), yield* capturedRequest(yield* Sqs)].map(({ hostname, path, protocol }) =>
      `${protocol}//${hostname}${path}`
    )
  }).pipe(Effect.provide(Layer.provide(Layer.merge(S3.layer, Sqs.layer), settings(""))))
  return { hosts, sent: server.seen.map(essence) }
}).pipe(Effect.provide(Faults.layer), Effect.scoped)

describe("requests are the same", () => {
  const restore = keepEnvironment()
  const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "aws-config-"))
  let expected: Effect.Effect.Success<typeof requests>

  const clean = () => {
    for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name]
    process.env["AWS_CONFIG_FILE"] = Path.join(folder, "none")
    process.env["AWS_SHARED_CREDENTIALS_FILE"] = Path.join(folder, "none")
  }
  beforeAll(async () => {
    clean()
    expected = await Effect.runPromise(requests)
  })
  afterAll(() => {
    restore()
    Fs.rmSync(folder, { recursive: true })
  })

  const file = (name: string, values: Readonly<Record<string, string>>) => {
    clean()
    process.env["AWS_CONFIG_FILE"] = Path.join(folder, name)
    Fs.writeFileSync(process.env["AWS_CONFIG_FILE"], configFile(values))
  }

  it("as they should be", () => {
    expect(expected.hosts).toEqual([
      "https://clinic-uploads.s3.eu-west-1.amazonaws.com/",
      "https://sqs.eu-west-1.amazonaws.com/"
    ])
    expect(expected.sent).toHaveLength(3)
    expect(expected.sent[0]?.headers).toMatchObject({
      "x-amz-checksum-crc32": expect.stringMatching(/./),
      authorization: expect.stringMatching(/^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/eu-west-1\/s3\/aws4_request/)
    })
  })

  const environments: ReadonlyArray<readonly [string, () => void]> = [
    ["in an environment that misleads", () => (clean(), Object.assign(process.env, misleading))],
    ["in an environment of invalid values", () => (clean(), Object.assign(process.env, invalid))],
    ["with a config file that misleads", () => file("misleading", misleading)],
    ["with a config file of invalid values", () => file("invalid", invalid)],
    ["with another profile", () => (file("profile", misleading), void (process.env["AWS_PROFILE"] = "other"))],
    ["with a profile that does not exist", () => (clean(), void (process.env["AWS_PROFILE"] = "none"))]
  ]
  for (const [title, prepare] of environments) {
    it.live(title, () =>
      Effect.gen(function*() {
        prepare()
        expect(yield* requests).toEqual(expected)
      }))
  }
})
