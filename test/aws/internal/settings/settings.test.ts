import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { S3, Sqs } from "../../../../src/aws/Clients.ts"
import { Queue } from "../../../../src/aws/Queue.ts"
import { Storage } from "../../../../src/aws/Storage.ts"
import type { ConfigurationError } from "../../../../src/Errors.ts"
import { capturedRequest } from "../../../support/aws/capturedRequest.ts"
import { Faults } from "../../../support/aws/faultServer.ts"
import { input } from "../../../support/aws/faultStage.ts"
import { good } from "../../../support/aws/settings.ts"

type Values = Readonly<Record<string, string>>

const withSettings = (values: Values) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries({ ...good, ...values }))))

const built = <A, E>(layer: Layer.Layer<A, E>, values: Values) =>
  Effect.scoped(Layer.build(Layer.provide(layer, withSettings(values))))

const problems = <A>(layer: Layer.Layer<A, ConfigurationError>, values: Values) =>
  Effect.map(Effect.flip(built(layer, values)), (error) => error.problems)

const requestTo = (service: "S3" | "SQS", values: Values, names?: { bucket?: string; queueUrl?: string }) =>
  Effect.gen(function*() {
    const client = service === "S3" ? yield* S3 : yield* Sqs
    const { hostname, path } = yield* capturedRequest(client, names)
    return hostname + path
  }).pipe(Effect.provide(Layer.provide(Layer.merge(S3.layer, Sqs.layer), withSettings(values))))

describe("the name of the bucket", () => {
  it.effect("may be what S3 accepts", () =>
    Effect.gen(function*() {
      for (const bucket of ["abc", "a.b", "1.2.3", "1.2.3.4.5", "my--bucket", "a-.b", "xn-a", "x".repeat(63)]) {
        yield* built(Storage.layer, { IMAGE_S3_BUCKET: bucket })
      }
    }))

  const refused: ReadonlyArray<readonly [string, RegExp]> = [
    ["ab", /3-63/],
    ["x".repeat(64), /3-63/],
    ["Clinic", /lower-case/],
    ["clinic_uploads", /lower-case letters, digits, dots and hyphens/],
    ["-clinic", /at both ends/],
    ["clinic.", /at both ends/],
    ["clinic..uploads", /two dots/],
    ["192.168.5.4", /IP address/],
    ["xn--clinic", /begin with xn--/],
    ["sthree-clinic", /begin with sthree-/],
    ["amzn-s3-demo-bucket", /begin with amzn-s3-demo-/],
    ["clinic-s3alias", /end in -s3alias: that is the alias of an access point/],
    ["clinic--ol-s3", /end in --ol-s3/],
    ["clinic.mrap", /end in \.mrap/],
    ["clinic--use1-az4--x-s3", /end in --x-s3: that is a directory bucket/],
    ["clinic--table-s3", /end in --table-s3/]
  ]
  it.effect.each(refused)("may not be %s", ([bucket, detail]) =>
    Effect.gen(function*() {
      for (
        const [found, setting] of [
          [yield* problems(Storage.layer, { IMAGE_S3_BUCKET: bucket }), "IMAGE_S3_BUCKET"],
          [yield* problems(Storage.layerConfig({ bucket: Config.succeed(bucket) }), {}), "bucket"]
        ] as const
      ) {
        expect(found).toMatchObject([{ setting, detail: expect.stringMatching(detail) }])
        expect(found[0]?.detail).not.toContain(bucket)
      }
    }))
})

describe("FIPS and dual stack", () => {
  it.effect("are settings", () =>
    Effect.gen(function*() {
      const fips = { AWS_USE_FIPS_ENDPOINT: "true" }
      const dualStack = { AWS_USE_DUALSTACK_ENDPOINT: "true" }
      expect(yield* requestTo("S3", {})).toBe("clinic-uploads.s3.eu-west-1.amazonaws.com/")
      expect(yield* requestTo("S3", fips)).toBe("clinic-uploads.s3-fips.eu-west-1.amazonaws.com/")
      expect(yield* requestTo("S3", dualStack)).toBe("clinic-uploads.s3.dualstack.eu-west-1.amazonaws.com/")
      expect(yield* requestTo("S3", { ...fips, ...dualStack }))
        .toBe("clinic-uploads.s3-fips.dualstack.eu-west-1.amazonaws.com/")
      // The host in the queue's URL would be neither.
      expect(yield* requestTo("SQS", {})).toBe("sqs.eu-west-1.amazonaws.com/")
      expect(yield* requestTo("SQS", fips)).toBe("sqs-fips.eu-west-1.amazonaws.com/")
      expect(yield* requestTo("SQS", dualStack)).toBe("sqs.eu-west-1.api.aws/")
      const off = { AWS_USE_FIPS_ENDPOINT: "false", AWS_USE_DUALSTACK_ENDPOINT: " " }
      expect(yield* requestTo("S3", off)).toBe("clinic-uploads.s3.eu-west-1.amazonaws.com/")
    }))

  it.effect("are checked, and do not go with an endpoint of ours", () =>
    Effect.gen(function*() {
      const misspelt = { AWS_USE_FIPS_ENDPOINT: "s3cr3t", AWS_USE_DUALSTACK_ENDPOINT: "s3cr3t" }
      const expected = Object.keys(misspelt).map((setting) => ({ setting, detail: "must be true or false" }))
      expect(yield* problems(Storage.layer, misspelt)).toEqual(expected)
      expect(yield* problems(Queue.layer, misspelt)).toEqual(expected)
      const both = { AWS_USE_FIPS_ENDPOINT: "true", AWS_USE_DUALSTACK_ENDPOINT: "true" }
      expect(yield* problems(Storage.layer, { ...both, AWS_ENDPOINT_URL: "http://host" })).toMatchObject([
        { setting: "AWS_USE_FIPS_ENDPOINT", detail: "must not be true while AWS_ENDPOINT_URL is set" },
        { setting: "AWS_USE_DUALSTACK_ENDPOINT", detail: "must not be true while AWS_ENDPOINT_URL is set" }
      ])
      const ofS3 = { AWS_USE_FIPS_ENDPOINT: "true", AWS_ENDPOINT_URL_S3: "http://host", AWS_REGION: "" }
      expect(yield* problems(Storage.layer, ofS3)).toMatchObject([
        { setting: "AWS_REGION" },
        { setting: "AWS_USE_FIPS_ENDPOINT", detail: "must not be true while AWS_ENDPOINT_URL_S3 is set" }
      ])
      yield* built(Queue.layer, { ...ofS3, AWS_REGION: "eu-west-1" })
    }))
})

describe("path style", () => {
  it.effect("is for other servers, for buckets with dots, and for whom it is set", () =>
    Effect.gen(function*() {
      const endpoint = { AWS_ENDPOINT_URL: "https://host" }
      expect(yield* requestTo("S3", endpoint)).toBe("host/clinic-uploads/")
      expect(yield* requestTo("S3", { ...endpoint, AWS_S3_FORCE_PATH_STYLE: "false" })).toBe("clinic-uploads.host/")
      expect(yield* requestTo("S3", { AWS_S3_FORCE_PATH_STYLE: "true" }))
        .toBe("s3.eu-west-1.amazonaws.com/clinic-uploads/")
      expect(yield* requestTo("S3", {}, { bucket: "a.b" })).toBe("s3.eu-west-1.amazonaws.com/a.b/")
      expect(yield* requestTo("S3", { AWS_S3_FORCE_PATH_STYLE: "false" }, { bucket: "a.b" }))
        .toBe("s3.eu-west-1.amazonaws.com/a.b/")
      expect(yield* problems(S3.layer, { AWS_S3_FORCE_PATH_STYLE: "s3cr3t" }))
        .toEqual([{ setting: "AWS_S3_FORCE_PATH_STYLE", detail: "must be true or false" }])
    }))
})

describe("the region of the queue", () => {
  const urls: ReadonlyArray<readonly [string, string]> = [
    ["https://sqs.us-east-1.amazonaws.com/1/jobs", "us-east-1"],
    ["https://sqs-fips.us-gov-west-1.amazonaws.com/1/jobs", "us-gov-west-1"],
    ["https://sqs.us-east-1.api.aws/1/jobs", "us-east-1"],
    ["https://sqs.cn-north-1.amazonaws.com.cn/1/jobs", "cn-north-1"],
    ["https://sqs.eusc-de-east-1.amazonaws.eu/1/jobs", "eusc-de-east-1"],
    ["https://sqs.us-iso-east-1.c2s.ic.gov/1/jobs", "us-iso-east-1"],
    ["https://vpce-1a2b.sqs.us-east-2.vpce.amazonaws.com/1/jobs", "us-east-2"],
    ["https://us-west-2.queue.amazonaws.com/1/jobs", "us-west-2"],
    ["https://queue.amazonaws.com/1/jobs", "us-east-1"]
  ]
  it.effect.each(urls)("is to be AWS_REGION: %s", ([url, region]) =>
    Effect.gen(function*() {
      const problem = {
        detail: `is a queue in ${region}, and AWS_REGION is eu-west-1`,
        hint: "make them the same"
      }
      expect(yield* problems(Queue.layer, { AWS_SQS_QUEUE_URL: url }))
        .toEqual([{ setting: "AWS_SQS_QUEUE_URL", ...problem }])
      expect(yield* problems(Queue.layerConfig({ url: Config.succeed(url) }), {}))
        .toEqual([{ setting: "url", ...problem }])
      yield* built(Queue.layer, { AWS_SQS_QUEUE_URL: url, AWS_REGION: region })
      yield* built(Queue.layer, { AWS_SQS_QUEUE_URL: url, AWS_ENDPOINT_URL_SQS: "http://localhost:1" })
    }))

  it.effect("is not guessed from the names of other servers", () =>
    Effect.gen(function*() {
      for (const host of ["sqs.us-east-1.example.com", "localhost:9324", "sqs.internal.amazonaws.com"]) {
        yield* built(Queue.layer, { AWS_SQS_QUEUE_URL: `http://${host}/1/jobs` })
      }
      yield* built(Queue.layer, {
        AWS_SQS_QUEUE_URL: "https://sqs.us-east-1.amazonaws.com/1/jobs",
        AWS_REGION: "fips-us-east-1"
      })
    }))
})

describe("the URL of a file", () => {
  const urlOf = (values: Values) =>
    Effect.gen(function*() {
      const server = yield* Faults
      server.answer(() => ({ status: 200, headers: { etag: "\"x\"" } }))
      const { key, url } = yield* Effect.flatMap(Storage, (storage) => storage.uploadImage(input)).pipe(
        Effect.provide(Layer.provide(Storage.layer, withSettings({ AWS_ENDPOINT_URL: server.endpoint, ...values })))
      )
      expect(url.endsWith(`/${key}`)).toBe(true)
      return url.slice(0, -key.length - 1)
    }).pipe(Effect.provide(Faults.layer), Effect.scoped)

  const suffixes: ReadonlyArray<readonly [region: string, suffix: string]> = [
    ["eu-west-1", "amazonaws.com"],
    ["us-east-1", "amazonaws.com"],
    ["us-gov-west-1", "amazonaws.com"],
    ["cn-north-1", "amazonaws.com.cn"],
    ["us-iso-east-1", "c2s.ic.gov"],
    ["us-isob-east-1", "sc2s.sgov.gov"],
    ["us-isof-south-1", "csp.hci.ic.gov"],
    ["eu-isoe-west-1", "cloud.adc-e.uk"],
    ["eusc-de-east-1", "amazonaws.eu"],
    // A region that this SDK does not know yet.
    ["eu-nowhere-9", "amazonaws.com"]
  ]
  it.live.each(suffixes)("in %s ends in the domain of its partition", ([region, suffix]) =>
    Effect.gen(function*() {
      expect(yield* urlOf({ AWS_REGION: region })).toBe(`https://clinic-uploads.s3.${region}.${suffix}`)
      expect(yield* urlOf({ AWS_REGION: region, IMAGE_S3_BUCKET: "files.clinic.example" }))
        .toBe(`https://s3.${region}.${suffix}/files.clinic.example`)
    }))

  it.live("is the CDN's where there is one", () =>
    Effect.gen(function*() {
      expect(yield* urlOf({ AWS_REGION: "cn-north-1", STORAGE_PUBLIC_BASE_URL: "https://cdn.example.com/f/" }))
        .toBe("https://cdn.example.com/f")
    }))
})
