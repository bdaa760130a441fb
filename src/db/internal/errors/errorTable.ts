/**
 * What the errors of the server, of the driver and of the network mean: one row for each kind. One file because it
 * is one table.
 *
 * A new errno goes into `errnos` of the row whose reason and consequences it shares; each number is in one row only.
 * The driver's names for the server's errors are not used: some are missing and some are wrong.
 */
import type { DatabaseReason } from "../../../Errors.ts"
import {
  describeDuplicate,
  describeInvalidValue,
  describeSyntaxError,
  findCheckConstraint,
  findForeignKey,
  findKey,
  maskQuotedText,
  replacedBy,
  unchanged,
  unchangedIfItNamesAColumn
} from "./redact.ts"

/** What an error means for the statement, its transaction, its connection and the pool. */
export interface Classification {
  /** The `reason` of the DatabaseError. */
  readonly reason: DatabaseReason
  /**
   * The statement, or the transaction around it, may succeed when it is tried again; after an explicit ROLLBACK unless
   * `transaction` is `gone`. Whether that is safe depends on `outcome` too.
   */
  readonly retryable: boolean
  /** The connection must not be used again. */
  readonly discard: boolean
  /**
   * What became of the open transaction on the server: `kept` is still open, `gone` is rolled back or lost with its
   * connection, `unsure` is one or the other.
   */
  readonly transaction: "kept" | "gone" | "unsure"
  /** Every connection opened before the error must be closed, not only the one that met it. */
  readonly invalidatesPool: boolean
  /**
   * What became of the statement: `failed` if the server has said that it had no effect, `unknown` if it may have been
   * carried out.
   */
  readonly outcome: "failed" | "unknown"
}

export interface Row extends Classification {
  /** Numbers that the server sends. */
  readonly errnos?: ReadonlyArray<number>
  /** SQLSTATEs, or their classes of two characters, for the numbers that are in no row. */
  readonly states?: ReadonlyArray<string>
  /** Codes of Node and of the driver, for errors that did not come from the server. */
  readonly codes?: ReadonlyArray<string>
  /** Makes the error's `detail` from the original message, without the values that the message may quote. */
  readonly detail: (message: string) => string
  /** The error's `hint`: what a person can do about it. */
  readonly hint: string
  /** Finds the key or the constraint in the original message. */
  readonly constraint?: (message: string) => string | undefined
}

/** Everything but the reason. */
type Consequences = Omit<Classification, "reason">

/** Only the statement failed, and would fail again. Its transaction and its connection go on. */
const statementFailed: Consequences = {
  retryable: false,
  discard: false,
  transaction: "kept",
  invalidatesPool: false,
  outcome: "failed"
}

/** Only the statement failed, and the transaction may succeed when it is run again from the start. */
const statementFailedRetryable: Consequences = { ...statementFailed, retryable: true }

/** The server rolled the whole transaction back. The connection can be used again. */
const transactionRolledBack: Consequences = { ...statementFailedRetryable, transaction: "gone" }

/** The connection is lost, or was never made. Another one may work. */
const connectionLost: Consequences = {
  retryable: true,
  discard: true,
  transaction: "gone",
  invalidatesPool: false,
  outcome: "unknown"
}

/** The connection cannot be used any more, and another would fail in the same way. */
const connectionLostNotRetryable: Consequences = { ...connectionLost, retryable: false }

/** The server refused the statement and ends the session. */
const sessionRefused: Consequences = { ...connectionLostNotRetryable, outcome: "failed" }

/**
 * For errors of the server that are in no row. Nobody has checked what they leave behind, so the server is asked whether
 * the transaction is still open, and the connection is not used again.
 */
export const unlisted: Row = {
  reason: "Unknown",
  retryable: false,
  discard: true,
  transaction: "unsure",
  invalidatesPool: false,
  outcome: "unknown",
  detail: maskQuotedText,
  hint: "look the errno up in the server's manual"
}

/**
 * For everything else that is in no row: the driver threw, or the reply made no sense to it. What the next reply on this
 * connection would belong to is not known.
 */
export const notUnderstood: Row = {
  reason: "Unknown",
  ...connectionLostNotRetryable,
  detail: maskQuotedText,
  hint: "look at the cause: it is neither an error of the server nor a known one of the network"
}

/** DDL, stored programs, views, partitions, variables: errors of one statement, without a reason of their own here. */
const failedStatements: ReadonlyArray<number> = (
  "1005 1006 1007 1008 1010 1025 1036 1089 1114 1137 1191 1192 1221 1223 1229 1238 1242 1288 1293 1294 "
  + "1321 1329 1347 1348 1349 1350 1351 1352 1353 1354 1356 1359 1360 1362 1363 1390 1393 1394 1395 1396 1404 "
  + "1415 1418 1419 1422 1423 1424 1436 1442 1446 1449 1456 1471 1526 1568 1748 1819 1822 1823 1824 1825 "
  + "1826 1827 1828 1829 1830 1831 1832 1833 1834 1901 1906 3105 3106 3636 3780 4078 4084 4163"
).split(" ").map(Number)

export const rows: ReadonlyArray<Row> = [
  // reaching the server
  {
    reason: "Unreachable",
    errnos: [2002, 2003, 2005, 3032],
    codes: [
      "ECONNREFUSED",
      "ENOTFOUND",
      "EAI_AGAIN",
      "EAI_FAIL",
      "EAI_NODATA",
      "EHOSTUNREACH",
      "EHOSTDOWN",
      "ENETUNREACH",
      "ENETDOWN",
      "EADDRNOTAVAIL",
      "EMFILE",
      "ENFILE",
      // Of a Unix socket: no such file, or no permission.
      "ENOENT",
      "EACCES"
    ],
    ...connectionLost,
    detail: unchanged,
    hint: "check the host and the port (or the socket) in the URL, the network, and that the server is running"
  },
  {
    // This error has no code of its own: classify.ts recognises it by the system call that timed out.
    reason: "ConnectTimeout",
    ...connectionLost,
    detail: unchanged,
    hint: "check the network and the server's load, or raise CONNECT_TIMEOUT"
  },
  {
    reason: "LoginRefused",
    errnos: [1045, 1044, 1130, 1251, 1275, 1524, 1698, 1820, 1862, 3118, 3955, 4151],
    states: ["28000"],
    codes: ["AUTH_SWITCH_PLUGIN_ERROR", "MYSQL_CLEAR_PASSWORD_NOT_ENABLED"],
    ...sessionRefused,
    detail: unchanged,
    hint: "check the user, the password and the database in the URL, and the account's privileges"
  },
  {
    // Our own refusal, in connection/mysql2.ts.
    reason: "LoginRefused",
    codes: ["PUBLIC_KEY_NOT_ALLOWED"],
    ...connectionLostNotRetryable,
    detail: unchanged,
    hint: "encrypt the connection (ssl-mode=VERIFY_CA or REQUIRED in the URL) or use the server's socket;"
      + " allow-public-key-retrieval=true trusts whoever answers"
  },
  {
    // After max_connect_errors handshakes that broke off, the server refuses the whole host.
    reason: "LoginRefused",
    errnos: [1129],
    ...sessionRefused,
    detail: unchanged,
    hint:
      "find out why handshakes from this host break off, then run FLUSH HOSTS (or TRUNCATE performance_schema.host_cache)"
  },
  {
    reason: "UnknownDatabase",
    errnos: [1049],
    ...statementFailed,
    detail: unchanged,
    hint: "check the name of the database in the URL, or create the database"
  },
  {
    reason: "Tls",
    errnos: [3159],
    codes: [
      "SELF_SIGNED_CERT_IN_CHAIN",
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "UNABLE_TO_GET_ISSUER_CERT",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "CERT_HAS_EXPIRED",
      "CERT_NOT_YET_VALID",
      "CERT_REVOKED",
      "CERT_UNTRUSTED",
      "INVALID_CA",
      "HOSTNAME_MISMATCH",
      "EPROTO",
      "HANDSHAKE_NO_SSL_SUPPORT",
      "HANDSHAKE_SSL_ERROR"
    ],
    ...connectionLostNotRetryable,
    detail: unchanged,
    hint: "check ssl-mode and ssl-ca in the URL against the server's certificate"
  },
  {
    reason: "TooManyConnections",
    errnos: [1040, 1135, 1203, 1226],
    states: ["08004"],
    ...connectionLost,
    detail: unchanged,
    hint: "lower POOL_SIZE and MAX_OVERFLOW (each process has its own pools), or raise the server's limits"
  },
  {
    reason: "ConnectionLost",
    errnos: [
      1047,
      1053,
      1077,
      1078,
      1079,
      1080,
      1152,
      1158,
      1159,
      1160,
      1161,
      1184,
      1927,
      2006,
      2013,
      2014,
      2055,
      3169,
      4031
    ],
    states: ["08"],
    codes: [
      "ECONNRESET",
      "ECONNABORTED",
      "EPIPE",
      "ETIMEDOUT",
      "ENOTCONN",
      "ERR_STREAM_DESTROYED",
      "ERR_STREAM_WRITE_AFTER_END",
      "ERR_SOCKET_CLOSED",
      "ERR_STREAM_PREMATURE_CLOSE"
    ],
    ...connectionLost,
    detail: unchanged,
    // Also the cause of an unknown outcome, so it must not advise to try again.
    hint: "the server rolls back what was not committed; the next statement gets another connection"
  },
  // statements
  {
    reason: "UniqueViolation",
    errnos: [1022, 1062, 1169, 1557, 1586, 1761, 1762, 1859],
    ...statementFailed,
    detail: describeDuplicate,
    hint: "use another value, or update the existing row",
    constraint: findKey
  },
  {
    reason: "ForeignKeyViolation",
    errnos: [1216, 1217, 1451, 1452],
    ...statementFailed,
    detail: unchanged,
    hint: "insert the referenced row before the rows that refer to it, and delete it after them",
    constraint: findForeignKey
  },
  {
    reason: "NotNullViolation",
    errnos: [1048, 1263, 1364],
    ...statementFailed,
    detail: unchanged,
    hint: "give the column a value"
  },
  {
    reason: "CheckViolation",
    errnos: [1369, 3819, 4025],
    ...statementFailed,
    detail: unchanged,
    hint: "use a value that the constraint allows",
    constraint: findCheckConstraint
  },
  {
    reason: "InvalidData",
    errnos: [1264, 1265, 1406],
    ...statementFailed,
    detail: unchangedIfItNamesAColumn,
    hint: "check the value against the column's type"
  },
  {
    reason: "InvalidData",
    errnos: [1292, 1300, 1365, 1366, 1367, 1411, 1525, 1690],
    states: ["22"],
    ...statementFailed,
    detail: describeInvalidValue,
    hint: "check the value against the column's type"
  },
  {
    reason: "InvalidData",
    errnos: [3140, 3141, 3143, 3144, 3146, 3150, 3152, 3153, 3154, 3156, 3157, 4037, 4038],
    ...statementFailed,
    detail: replacedBy("a text is not valid JSON, or not a valid path into JSON"),
    hint: "check the JSON text or the path"
  },
  {
    reason: "InvalidData",
    // 3685 to 3700 are all errors of MySQL's regular expressions.
    errnos: [1139, ...Array.from({ length: 16 }, (_, index) => 3685 + index)],
    ...statementFailed,
    detail: replacedBy("a regular expression is not valid"),
    hint: "correct the regular expression"
  },
  {
    reason: "InvalidParameter",
    errnos: [1210, 2031, 2034],
    codes: ["WRONG_PARAMETER_COUNT"],
    ...statementFailed,
    detail: unchanged,
    hint: "give each placeholder one value: a text, number, boolean, Date, Uint8Array or null"
  },
  {
    reason: "Syntax",
    errnos: [1064, 1149],
    ...statementFailed,
    detail: describeSyntaxError,
    hint: "correct the statement"
  },
  {
    reason: "Syntax",
    errnos: [1052, 1055, 1058, 1065, 1066, 1093, 1110, 1111, 1136, 1140, 1222, 1235, 1241, 1248, 1295],
    ...statementFailed,
    detail: unchanged,
    hint: "correct the statement"
  },
  {
    reason: "UnknownObject",
    errnos: [1051, 1054, 1091, 1109, 1146, 1176, 1193, 1305, 1630],
    states: ["42S02", "42S22"],
    ...statementFailed,
    detail: unchanged,
    hint: "correct the name, or run the migration that creates the object"
  },
  {
    reason: "AccessDenied",
    errnos: [1141, 1142, 1143, 1227, 1345, 1370],
    ...statementFailed,
    detail: unchanged,
    hint: "grant the privilege to the account"
  },
  {
    reason: "Cancelled",
    errnos: [1028, 1317],
    states: ["70100"],
    ...statementFailed,
    detail: unchanged,
    hint: "find out who interrupted the statement (KILL QUERY, for example); its changes are undone"
  },
  {
    reason: "StatementTimeout",
    errnos: [1969, 3024],
    ...statementFailed,
    detail: unchanged,
    hint: "make the statement faster, or raise the server's limit (max_statement_time, max_execution_time)"
  },
  {
    // Nobody waits any more, and the statement may still be running. The second code is our own, of statement/timeLimit.ts.
    reason: "StatementTimeout",
    codes: ["PROTOCOL_SEQUENCE_TIMEOUT", "STATEMENT_NOT_STOPPED"],
    ...connectionLostNotRetryable,
    detail: unchanged,
    hint: "make the statement faster, or raise STATEMENT_TIMEOUT"
  },
  {
    reason: "PacketTooLarge",
    errnos: [1153, 2020],
    ...sessionRefused,
    detail: unchanged,
    hint: "send less at once, or raise the server's max_allowed_packet"
  },
  {
    // Refused by us, before anything was sent.
    reason: "PacketTooLarge",
    codes: ["REQUEST_TOO_LARGE"],
    ...statementFailed,
    detail: unchanged,
    hint: "send less at once, or raise the server's max_allowed_packet"
  },
  // transactions
  {
    // 1213 is InnoDB's deadlock, 1020 a row that changed since it was read, 1613 and 1614 are rollbacks under XA.
    reason: "Deadlock",
    errnos: [1020, 1213, 1613, 1614],
    states: ["40001"],
    ...transactionRolledBack,
    detail: unchanged,
    hint: "run the transaction again: the server rolled it back"
  },
  {
    // A deadlock of user-level locks (GET_LOCK): the transaction stays open.
    reason: "Deadlock",
    errnos: [3058],
    ...statementFailedRetryable,
    detail: unchanged,
    hint: "release the user-level locks and run the transaction again: sessions wait for each other's locks"
  },
  {
    // The server rolls back the statement, or the whole transaction where innodb_rollback_on_timeout is set.
    reason: "LockWaitTimeout",
    errnos: [1205],
    ...statementFailedRetryable,
    transaction: "unsure",
    detail: unchanged,
    hint: "roll back and run the transaction again: another transaction holds the rows"
  },
  {
    reason: "LockNotAvailable",
    errnos: [3572],
    ...statementFailed,
    detail: unchanged,
    hint: "try later, or wait for the rows by leaving out NOWAIT: another transaction holds them"
  },
  {
    reason: "ReadOnlyServer",
    errnos: [1290, 1836, 1874],
    retryable: true,
    discard: true,
    transaction: "kept",
    invalidatesPool: true,
    outcome: "failed",
    detail: unchanged,
    hint: "check that the host in the URL names the writer: after a fail-over the old writer is a replica"
  },
  {
    reason: "ReadOnlyTransaction",
    errnos: [1792],
    states: ["25006"],
    ...statementFailed,
    detail: unchanged,
    hint: "write in a transaction that was not begun with readOnly"
  },
  // errors without a reason of their own
  {
    // InnoDB has no room for another lock: unlike other failed statements, this rolls the whole transaction back.
    reason: "Unknown",
    errnos: [1206],
    ...transactionRolledBack,
    retryable: false,
    detail: unchanged,
    hint: "change fewer rows in one transaction, or raise the server's innodb_buffer_pool_size"
  },
  {
    reason: "Unknown",
    errnos: failedStatements,
    states: ["0A", "20", "21", "24", "42", "HV"],
    ...statementFailed,
    detail: maskQuotedText,
    hint: "look the errno up in the server's manual"
  },
  {
    // A table or a prepared statement changed under the transaction, or too many transactions are open.
    reason: "Unknown",
    errnos: [1412, 1615, 1637],
    ...statementFailedRetryable,
    detail: unchanged,
    hint: "run the transaction again"
  },
  {
    // The server does not know the prepared statement, or has no room for another.
    reason: "Unknown",
    errnos: [1243, 1461],
    ...sessionRefused,
    detail: unchanged,
    hint: "set PREPARED_STATEMENTS to false if there is a proxy or the server runs out of prepared statements"
  },
  {
    reason: "Unknown",
    errnos: [1644],
    states: ["45"],
    ...statementFailed,
    detail: replacedBy(
      "a trigger or a routine raised an error with SIGNAL (its text is left out because it may quote values)"
    ),
    hint: "tell these errors apart by the SQLSTATE and the errno that SIGNAL sets"
  }
]
