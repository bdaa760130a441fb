/** The SDK's modules, loaded when they are first needed: importing one takes some hundred milliseconds. */
import * as Effect from "effect/Effect"
import { ConfigurationError } from "../../../Errors.ts"
import type { UndiciModule } from "./httpHandler.ts"

export type S3Sdk = typeof import("@aws-sdk/client-s3")
export type SqsSdk = typeof import("@aws-sdk/client-sqs")

export const loadS3 = (service: string): Effect.Effect<S3Sdk, ConfigurationError> =>
  load(service, "@aws-sdk/client-s3", () => import("@aws-sdk/client-s3"))

export const loadSqs = (service: string): Effect.Effect<SqsSdk, ConfigurationError> =>
  load(service, "@aws-sdk/client-sqs", () => import("@aws-sdk/client-sqs"))

/** The HTTP client under our request handler. */
export const loadUndici = (service: string): Effect.Effect<UndiciModule, ConfigurationError> =>
  load(service, "undici", () => import("undici"))

const load = <A>(service: string, name: string, module: () => Promise<A>): Effect.Effect<A, ConfigurationError> =>
  Effect.tryPromise({
    try: module,
    catch: (cause) =>
      new ConfigurationError({
        service,
        reason: "NotConfigured",
        problems: [{ setting: name, detail: "could not be loaded", hint: "add it to the dependencies" }],
        cause
      })
  })
