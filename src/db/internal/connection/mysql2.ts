/** mysql2's connections: opened with our settings, and cut for good. */
import * as Redacted from "effect/Redacted"
import * as Mysql from "mysql2"
import * as Net from "node:net"
import type { Settings, Ssl } from "../settings/settings.ts"

/** Server-side statements kept per connection: the default limit of a whole server is 16,382 (max_prepared_stmt_count). */
const MAX_PREPARED_STATEMENTS = 128

const KEEP_ALIVE_DELAY = 30_000

/** The parts of the driver's connection that its own types leave out. */
export type Raw = Mysql.Connection & {
  readonly stream: Net.Socket
  readonly reset: (done: (error?: unknown) => void) => void
}

/** Begins to connect: to that address, or to wherever the host's name leads. */
export const open = (settings: Settings, address: string | undefined): Raw => {
  const raw = Mysql.createConnection({
    host: settings.host,
    port: settings.port,
    user: settings.user,
    password: Redacted.value(settings.password),
    database: settings.database,
    charset: settings.charset,
    timezone: settings.timezone === "+00:00" ? "Z" : settings.timezone,
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: settings.dates === "string",
    multipleStatements: settings.multipleStatements,
    maxPreparedStatements: MAX_PREPARED_STATEMENTS,
    // A server could otherwise ask for files of this machine (LOAD DATA LOCAL).
    flags: ["-LOCAL_FILES"],
    // Our own deadlines cover more than the driver's.
    connectTimeout: 0,
    keepAliveInitialDelay: KEEP_ALIVE_DELAY,
    ...(address === undefined ? {} : { stream: () => Net.connect(settings.port, address).setNoDelay(true) }),
    ...(settings.ssl === undefined ? {} : { ssl: tlsOf(settings.ssl) })
  })
  return raw as unknown as Raw
}

/**
 * One object for all connections of a database: the driver keeps with it what it made of the certificates, which takes
 * tens of milliseconds for the bundle of a large provider, and the TLS session that new connections resume.
 */
const tlsOf = (ssl: Ssl): Mysql.SslOptions => {
  const known = tlsOptions.get(ssl)
  if (known !== undefined) return known
  const options: Mysql.SslOptions = {
    ...(ssl.ca === undefined ? {} : { ca: ssl.ca }),
    rejectUnauthorized: ssl.verifyCa,
    verifyIdentity: ssl.verifyIdentity
  }
  tlsOptions.set(ssl, options)
  return options
}

const tlsOptions = new WeakMap<Ssl, Mysql.SslOptions>()

/** The driver's own `destroy` only half-closes the socket. */
export const cut = (raw: Raw): void => {
  raw.on("error", () => {})
  raw.destroy()
  raw.stream.destroy()
}
