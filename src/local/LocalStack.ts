/**
 * S3, SQS and MySQL on this machine, for development and tests: `Infrastructure.layer.pipe(Layer.provide(LocalStack.layer))`.
 * Nothing outside this machine is reached, and nothing is kept.
 */
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { ConfigurationError } from "../Errors.ts"
import * as Aws from "./internal/aws.ts"
import * as Mysql from "./internal/mysql.ts"

export declare namespace LocalStack {
  /** The settings that point the layers of this package at the local servers, by the names of their variables. */
  interface Settings {
    readonly AWS_ACCESS_KEY_ID: string
    readonly AWS_SECRET_ACCESS_KEY: Redacted.Redacted
    readonly AWS_REGION: string
    readonly AWS_ENDPOINT_URL: string
    readonly IMAGE_S3_BUCKET: string
    readonly AWS_SQS_QUEUE_URL: string
    readonly MAIN_DB_URL: Redacted.Redacted
    readonly GARMIN_DB_URL: Redacted.Redacted
    readonly BLOOD_DB_URL: Redacted.Redacted
    readonly UFC_DB_URL: Redacted.Redacted
  }

  interface Service {
    readonly settings: Settings
  }
}

/** The local servers, running. */
export class LocalStack extends Context.Tag("@betterai/infrastructure/LocalStack")<LocalStack, LocalStack.Service>() {
  /**
   * Starts the servers, makes the bucket, the queue and the four databases (main, garmin, blood, ufc), and sets the
   * ConfigProvider for the layers that this one is provided to. Settings that it does not make, such as
   * MAIN_DB_POOL_SIZE, come from the provider that was there before; none that begins with AWS_ does, so that neither
   * credentials nor endpoints of the real services are picked up.
   *
   * S3 and SQS are fauxqs in this process, which has to be installed. MySQL is the first that is found of: the running
   * server of LOCAL_MYSQL_URL (its databases stay afterwards); a mariadbd or mysqld on this machine; MariaDB installed
   * by apt-get, as root on Debian or Ubuntu; a container. It is empty, listens on the loopback device, and is gone when
   * the scope is closed or the process has ended, even by SIGKILL. Fails with reason "LocalServer" if none can be had,
   * or if one does not answer within 60 s (a container: 5 minutes).
   */
  static readonly layer: Layer.Layer<LocalStack, ConfigurationError> = Layer.unwrapScoped(
    Effect.gen(function*() {
      const previous = yield* Effect.configProviderWith(Effect.succeed)
      const settings = yield* start
      return Layer.merge(
        Layer.succeed(LocalStack, { settings }),
        Layer.setConfigProvider(provider(settings).pipe(ConfigProvider.orElse(() => withoutAws(previous))))
      )
    })
  )
}

const databases = {
  MAIN_DB_URL: "main",
  GARMIN_DB_URL: "garmin",
  BLOOD_DB_URL: "blood",
  UFC_DB_URL: "ufc"
}

const start: Effect.Effect<LocalStack.Settings, ConfigurationError, Scope.Scope> = Effect.gen(function*() {
  const [aws, mysql] = yield* Effect.all([Aws.make, Mysql.make], { concurrency: "unbounded" })
  yield* Effect.forEach(Object.values(databases), mysql.createDatabase, { discard: true })
  return {
    AWS_ACCESS_KEY_ID: "local-access-key",
    AWS_SECRET_ACCESS_KEY: Redacted.make("local-secret-key"),
    AWS_REGION: aws.region,
    AWS_ENDPOINT_URL: aws.endpoint,
    IMAGE_S3_BUCKET: aws.bucket,
    AWS_SQS_QUEUE_URL: aws.queueUrl,
    MAIN_DB_URL: mysql.url(databases.MAIN_DB_URL),
    GARMIN_DB_URL: mysql.url(databases.GARMIN_DB_URL),
    BLOOD_DB_URL: mysql.url(databases.BLOOD_DB_URL),
    UFC_DB_URL: mysql.url(databases.UFC_DB_URL)
  }
})

const provider = (settings: LocalStack.Settings): ConfigProvider.ConfigProvider =>
  ConfigProvider.fromMap(
    new Map(
      Object.entries(settings).map((
        [name, value]
      ) => [name, Redacted.isRedacted(value) ? Redacted.value(value) : value])
    ),
    { pathDelim: "_", seqDelim: "," }
  )

const withoutAws = ({ flattened }: ConfigProvider.ConfigProvider): ConfigProvider.ConfigProvider =>
  ConfigProvider.fromFlat(ConfigProvider.makeFlat({
    load: (path, config, split) =>
      path.join("_").startsWith("AWS_")
        ? Effect.fail(ConfigError.MissingData([...path], "is not set by LocalStack"))
        : flattened.load(path, config, split),
    enumerateChildren: flattened.enumerateChildren,
    patch: flattened.patch
  }))
