/**
 * S3, SQS and MySQL on this machine, for development and tests. AWS is never reached, and nothing is kept, except in a
 * server that LOCAL_MYSQL_URL names.
 *
 * ```ts
 * const Live = Infrastructure.layer.pipe(Layer.provide(LocalStack.layer))
 * ```
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
import * as Databases from "./internal/databases.ts"
import * as Mysql from "./internal/mysql.ts"
import * as Queues from "./internal/queues.ts"

export declare namespace LocalStack {
  /** What {@link LocalStack.layerWith} takes. */
  interface Options {
    /**
     * Further databases: tags made by `Database.Tag`. A tag with the prefix `LAB_DB` gets the database `lab`, whose URL
     * is set as `LAB_DB_URL`. The same tag may be given more than once.
     */
    readonly databases?: ReadonlyArray<DatabaseTag> | undefined
    /**
     * Further queues: tags made by `Queue.Tag`, or `{ prefix: EventQueue.prefix, fifo: true }` for a FIFO queue. A tag
     * with the prefix `EMAIL_SQS` gets the queue `email`, whose URL is set as `EMAIL_SQS_QUEUE_URL`. The queue of `Queue`
     * itself is there in any case, as a standard one unless it is asked for as a FIFO queue.
     */
    readonly queues?: ReadonlyArray<QueueTag> | undefined
  }

  /** What the stack needs of a tag made by `Queue.Tag`. */
  interface QueueTag {
    /** What the names of its settings begin with. */
    readonly prefix: string
    /** Default false. */
    readonly fifo?: boolean | undefined
  }

  /** What the stack needs of a tag made by `Database.Tag`. */
  interface DatabaseTag {
    /** What the names of its settings begin with. */
    readonly prefix: string
  }

  /** The variables that hold the URLs of the databases of every local stack. */
  type DatabaseVariable = Databases.VariableOf<typeof Databases.PREFIXES[number]>

  /**
   * The settings that point the layers of this package at the local servers, by the names of their variables. Those of
   * further databases are in `databaseUrls`.
   */
  interface Settings extends Readonly<Record<DatabaseVariable, Redacted.Redacted>> {
    readonly AWS_ACCESS_KEY_ID: string
    readonly AWS_SECRET_ACCESS_KEY: Redacted.Redacted
    readonly AWS_REGION: string
    readonly AWS_ENDPOINT_URL: string
    readonly IMAGE_S3_BUCKET: string
    readonly AWS_SQS_QUEUE_URL: string
  }

  interface Service {
    readonly settings: Settings
    /** The URLs of all databases, the further ones included, by the names of their variables. */
    readonly databaseUrls: Readonly<Record<string, Redacted.Redacted>>
    /** The URLs of all queues, by the names of their variables. Each has a dead-letter queue. */
    readonly queueUrls: Readonly<Record<string, string>>
    /** Which database server answers there. */
    readonly databaseServer: DatabaseServer
  }

  /** The product, and the version as the server itself gives it ("9.7.4", "10.11.19-MariaDB-0+deb12u1"). */
  type DatabaseServer = Mysql.ServerVersion
}

/** The local servers, running. */
export class LocalStack extends Context.Tag("@betterai/infrastructure/LocalStack")<LocalStack, LocalStack.Service>() {
  /**
   * {@link LocalStack.layer} with further databases and queues. Two databases whose prefixes give the same name, or the
   * name of a database of the server itself, are refused, and so are two queues of one name (reason "InvalidSettings") before anything is started.
   *
   * Each call makes a layer of its own, with servers of its own: keep the layer in a constant and share it.
   *
   * ```ts
   * const Live = LabDb.layer.pipe(Layer.provide(LocalStack.layerWith({ databases: [LabDb] })))
   * ```
   */
  static readonly layerWith = (options: LocalStack.Options): Layer.Layer<LocalStack, ConfigurationError> =>
    Layer.unwrapScoped(
      Effect.gen(function*() {
        const previous = yield* Effect.configProviderWith(Effect.succeed)
        const service = yield* start(options)
        return Layer.merge(
          Layer.succeed(LocalStack, service),
          Layer.setConfigProvider(provider(service).pipe(ConfigProvider.orElse(() => withoutAws(previous))))
        )
      })
    )

  /**
   * Starts the servers, makes the bucket, the queue and the four databases (main, garmin, blood, ufc), and sets the
   * ConfigProvider for the layers that this one is provided to. Settings that it does not make, such as
   * MAIN_DB_POOL_SIZE, come from the provider that was there before. Names that begin with AWS_ never do, so that
   * neither credentials nor endpoints of the real services are picked up.
   *
   * S3 and SQS are fauxqs in this process, which must be installed. MySQL is the first of these that is found: the
   * running server of LOCAL_MYSQL_URL (its databases stay afterwards); a mysqld or mariadbd on this machine, of which MySQL
   * is preferred; MariaDB installed by apt-get, as root on Debian or Ubuntu; a container. Which server it is, is logged
   * and in `databaseServer`. A server that is started here is empty, listens on
   * the loopback device only, and is gone when the scope is closed or the process has ended, even by SIGKILL. Fails with
   * reason "LocalServer" if there is no way to get a server, or if it does not answer within 60 seconds (a container:
   * 5 minutes).
   */
  static readonly layer: Layer.Layer<LocalStack, ConfigurationError> = LocalStack.layerWith({})
}

const start = (
  { databases: tags = [], queues: asked = [] }: LocalStack.Options
): Effect.Effect<LocalStack.Service, ConfigurationError, Scope.Scope> =>
  Effect.gen(function*() {
    const databases = yield* Databases.databasesOf(tags.map(({ prefix }) => prefix))
    const queues = yield* Queues.queuesOf(asked)
    const [aws, mysql] = yield* Effect.all([Aws.make(queues), Mysql.make()], { concurrency: "unbounded" })
    yield* Effect.forEach(databases, ({ name }) => mysql.createDatabase(name), { discard: true })
    const queueUrls = Object.fromEntries(queues.map(({ variable }, index) => [variable, aws.queueUrls[index]!]))
    yield* Effect.log(`The local databases are on ${mysql.server.kind} ${mysql.server.version}`)
    return {
      settings: {
        AWS_ACCESS_KEY_ID: "local-access-key",
        AWS_SECRET_ACCESS_KEY: Redacted.make("local-secret-key"),
        AWS_REGION: aws.region,
        AWS_ENDPOINT_URL: aws.endpoint,
        IMAGE_S3_BUCKET: aws.bucket,
        AWS_SQS_QUEUE_URL: queueUrls[Queues.MAIN.variable]!,
        ...urlsOf(mysql, Databases.PREFIXES.map((prefix) => Databases.databaseOf(prefix)))
      },
      databaseUrls: urlsOf(mysql, databases),
      queueUrls,
      databaseServer: mysql.server
    }
  })

const urlsOf = <Prefix extends string>(
  mysql: Mysql.LocalMysql,
  databases: ReadonlyArray<Databases.LocalDatabase<Prefix>>
) =>
  Object.fromEntries(databases.map(({ name, variable }) => [variable, mysql.url(name)])) as Record<
    Databases.VariableOf<Prefix>,
    Redacted.Redacted
  >

const provider = ({ databaseUrls, queueUrls, settings }: LocalStack.Service): ConfigProvider.ConfigProvider =>
  ConfigProvider.fromMap(
    new Map(
      Object.entries({ ...databaseUrls, ...queueUrls, ...settings }).map((
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
