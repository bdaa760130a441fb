import { expect, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as AwsSettings from "../../../../src/aws/internal/settings/settings.ts"

const readme = Fs.readFileSync(new URL("../../../../README.md", import.meta.url), "utf8")
const documented = new Map(
  Array.from(readme.matchAll(/^\| (`AWS_.+?) \| ([^|]+) \|/gm)).flatMap(([, names = "", defaults = ""]) => {
    const values = defaults.split(", ")
    return Array.from(names.matchAll(/`(\w+)`/g), ([, name = ""], index) => [name, values[index] ?? values[0]] as const)
  })
)

it.effect("the defaults are those in the README", () =>
  Effect.gen(function*() {
    const required = { AWS_ACCESS_KEY_ID: "A", AWS_SECRET_ACCESS_KEY: "s", AWS_REGION: "eu-west-1" }
    const read = (more: Readonly<Record<string, string>>) =>
      Effect.withConfigProvider(
        AwsSettings.s3,
        ConfigProvider.fromMap(new Map(Object.entries({ ...required, ...more })))
      )
    const { checksums, client, forcePathStyle } = yield* read({})
    expect(documented.get("AWS_S3_CHECKSUMS")).toBe(`\`${checksums}\``)
    expect(documented.get("AWS_USE_FIPS_ENDPOINT")).toBe(String(client.fips))
    expect(documented.get("AWS_USE_DUALSTACK_ENDPOINT")).toBe(String(client.dualStack))
    const { forcePathStyle: withEndpoint } = yield* read({ AWS_ENDPOINT_URL: "http://host" })
    expect(documented.get("AWS_S3_FORCE_PATH_STYLE")).toBe(`${withEndpoint} with an endpoint`)
    expect([withEndpoint, forcePathStyle]).toEqual([true, false])
    for (const name of Object.keys(required)) expect(documented.get(name)).toBe("required")
  }))
