/** The default of each setting of a database. The names are those of the fields of `Settings`. */
export const defaults = {
  /** Connections that stay open when nobody uses them. */
  poolSize: 10,
  /** Connections above `poolSize` while they are needed. */
  maxOverflow: 10,
  /** Milliseconds that a borrower waits for a connection, dialling included. */
  poolTimeout: 30_000,
  /** Age in milliseconds at which a connection is replaced. */
  poolRecycle: 900_000,
  /** Whether an idle connection must answer a ping before it is handed out. */
  poolPrePing: true,
  /** Milliseconds since its last use during which a connection is handed out without a ping. */
  poolPrePingSkip: 500,
  /** Milliseconds for one dial: TCP, greeting, TLS, login and the session's set-up. */
  connectTimeout: 5_000,
  /** The isolation level of every connection. */
  isolationLevel: "READ COMMITTED",
  /** Whether the layer opens a connection while it is built (`verify`) or waits for the first use (`lazy`). */
  startup: "verify",
  /** Whether statements with parameters are prepared on the server. */
  preparedStatements: true,
  /** Milliseconds after which a connection that is still held is logged. */
  leakThreshold: 60_000,
  /** Milliseconds that a statement may take on the server: as long as it likes. */
  statementTimeout: Number.POSITIVE_INFINITY,

  // Parts and options of the URL.

  /** MySQL's own port. */
  port: 3306,
  /** Full Unicode. */
  charset: "utf8mb4",
  /** The offset of the times in DATETIME columns: UTC. */
  timezone: "+00:00",
  /** `date`: DATE, DATETIME and TIMESTAMP arrive as `Date`. */
  dates: "date",
  /** BIGINT arrives as a number; one beyond 2^53 is refused. */
  bigint: "number",
  /** Not encrypted. With `ssl-ca` or `ssl-cert` the default is VERIFY_CA. */
  sslMode: "DISABLED",
  /** Whether the password may be sent encrypted with a key that the server sends over a connection that anyone may answer. */
  allowPublicKeyRetrieval: false,
  /** Whether one text may hold several statements. */
  multipleStatements: false
} as const
