/** mysql2's connections: opened with our settings, and cut for good. */
import * as Redacted from "effect/Redacted"
import * as Mysql from "mysql2"
import * as Net from "node:net"
import type { DriverConnection } from "../borrowed/mysql2Connection.ts"
import { KEEP_ALIVE } from "../deadlines.ts"
import type { Settings, Ssl } from "../settings/settings.ts"
import type { Login } from "./login.ts"

/** Server-side statements kept per connection. The default limit of a whole server is 16,382 (max_prepared_stmt_count). */
const MAX_PREPARED_STATEMENTS = 128

/** Begins to connect: to `address`, or else to the socket or the host of the settings. */
export const open = (settings: Settings, login: Login, address: string | undefined): DriverConnection => {
  const { allowPublicKeyRetrieval, socket, ssl } = settings
  const connection = Mysql.createConnection({
    host: settings.host,
    port: settings.port,
    user: login.user,
    password: Redacted.value(login.password),
    database: settings.database,
    charset: settings.charset,
    timezone: settings.timezone === "+00:00" ? "Z" : settings.timezone,
    // What the driver reads, it reads exactly; values/columns.ts converts the rest.
    supportBigNumbers: true,
    jsonStrings: true,
    multipleStatements: settings.multipleStatements,
    maxPreparedStatements: MAX_PREPARED_STATEMENTS,
    // LOCAL_FILES: a server could ask for files of this machine (LOAD DATA LOCAL). IGNORE_SPACE: the driver's default
    // adds it to the server's sql_mode, and on MariaDB only until the first reset.
    flags: ["-LOCAL_FILES", "-IGNORE_SPACE"],
    // Our own deadlines cover more than the driver's.
    connectTimeout: 0,
    keepAliveInitialDelay: KEEP_ALIVE,
    ...(socket === undefined ? {} : { socketPath: socket }),
    ...(address === undefined ? {} : { stream: () => Net.connect(settings.port, address).setNoDelay(true) }),
    ...(ssl === undefined ? {} : { ssl: tlsOf(ssl) }),
    ...(ssl === undefined && socket === undefined && !allowPublicKeyRetrieval ? { authPlugins: withoutPublicKey } : {})
  })
  return connection as unknown as DriverConnection
}

/**
 * Over a connection that is not encrypted the driver would ask the server for a public key and send the password
 * encrypted with it: to whoever answers. The driver asks for the key all the same, and stops when it comes.
 *
 * With a plugin of ours for what the server offers first, a login takes one round trip more.
 */
const refuseKey = {
  onServerPublicKey: (): never => {
    throw Object.assign(
      new Error("the server wants the password itself, and without TLS whoever answers could read it"),
      { code: "PUBLIC_KEY_NOT_ALLOWED" }
    )
  }
}

const withoutPublicKey = {
  caching_sha2_password: Mysql.authPlugins.caching_sha2_password(refuseKey),
  sha256_password: Mysql.authPlugins.sha256_password(refuseKey)
}

/**
 * One object for all connections of a database. It is the driver's cache key for the parsed certificates (parsing the
 * bundle of a large provider takes tens of milliseconds) and for the TLS session that new connections resume.
 */
const tlsOf = (ssl: Ssl): Mysql.SslOptions => {
  const known = tlsOptions.get(ssl)
  if (known !== undefined) return known
  const options: Mysql.SslOptions = {
    ...(ssl.ca === undefined ? {} : { ca: ssl.ca }),
    ...(ssl.client === undefined ? {} : { cert: ssl.client.certificate, key: Redacted.value(ssl.client.key) }),
    rejectUnauthorized: ssl.verifyCa,
    verifyIdentity: ssl.verifyIdentity
  }
  tlsOptions.set(ssl, options)
  return options
}

const tlsOptions = new WeakMap<Ssl, Mysql.SslOptions>()

/** Closes both directions of the socket at once: the driver's own `destroy` only half-closes it. */
export const cut = (connection: DriverConnection): void => {
  connection.on("error", () => {})
  connection.destroy()
  connection.stream.destroy()
}
