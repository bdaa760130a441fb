/**
 * What the errors of the server, of the driver and of the network mean: one row for each kind.
 *
 * The driver's names of the server's errors are not used: some are missing and some are wrong.
 */
import type { DatabaseReason } from "../../../Errors.ts"
import { badValue, checkOf, duplicate, fixed, foreignKeyOf, keep, keyOf, masked, misfit, syntax } from "./redact.ts"

export interface Classification {
  readonly reason: DatabaseReason
  /** The whole transaction may be tried again (after an explicit ROLLBACK, unless the transaction is gone). */
  readonly retryable: boolean
  /** The connection must not be used again. */
  readonly discard: boolean
  /** What the server did to the open transaction. */
  readonly transaction: "kept" | "gone" | "unsure"
  /** Every connection that is older than this error is suspect too. */
  readonly fleet: boolean
}

export interface Row extends Classification {
  /** Numbers that the server sends. */
  readonly errnos?: ReadonlyArray<number>
  /** SQLSTATEs, or their classes of two characters, for the numbers that no row lists. */
  readonly states?: ReadonlyArray<string>
  /** Codes of Node and of the driver, for what never came from the server. */
  readonly codes?: ReadonlyArray<string>
  /** The server's message without the values that it may quote. */
  readonly message: (original: string) => string
  /** What a person can do about it. */
  readonly advice: string
  /** Finds the key or the constraint in the server's message. */
  readonly constraint?: (original: string) => string | undefined
}

type Fate = Omit<Classification, "reason">

const kept: Fate = { retryable: false, discard: false, transaction: "kept", fleet: false }
const again: Fate = { ...kept, retryable: true }
const rolledBack: Fate = { ...again, transaction: "gone" }
const lost: Fate = { retryable: true, discard: true, transaction: "gone", fleet: false }
const refused: Fate = { ...lost, retryable: false }

export const unlisted: Row = {
  reason: "Unknown",
  ...kept,
  message: masked,
  advice: "look the errno up in the manual of the server"
}

export const rows: ReadonlyArray<Row> = [
  // reaching the server
  {
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
      "ENFILE"
    ],
    reason: "Unreachable",
    ...lost,
    message: keep,
    advice: "check the host and the port of the URL, the network, and that the server runs"
  },
  {
    // Known by the system call that ran out of time.
    reason: "ConnectTimeout",
    ...lost,
    message: keep,
    advice: "the server did not answer in time; check the network and the server's load, or raise CONNECT_TIMEOUT"
  },
  {
    errnos: [1045, 1044, 1129, 1130, 1251, 1275, 1524, 1698, 1820, 1862, 3118, 3955, 4151],
    states: ["28000"],
    codes: ["AUTH_SWITCH_PLUGIN_ERROR", "MYSQL_CLEAR_PASSWORD_NOT_ENABLED"],
    reason: "LoginRefused",
    ...refused,
    message: keep,
    advice: "check the user, the password and the database of the URL, and the account's privileges"
  },
  {
    errnos: [1049],
    reason: "UnknownDatabase",
    ...kept,
    message: keep,
    advice: "check the database's name in the URL, or create it"
  },
  {
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
    reason: "Tls",
    ...refused,
    message: keep,
    advice: "check ssl-mode and ssl-ca of the URL against the server's certificate"
  },
  {
    errnos: [1040, 1135, 1203, 1226],
    states: ["08004"],
    reason: "TooManyConnections",
    ...lost,
    message: keep,
    advice: "lower POOL_SIZE and MAX_OVERFLOW, or raise the server's limits; every process has pools of its own"
  },
  {
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
    reason: "ConnectionLost",
    ...lost,
    message: keep,
    advice: "the server rolls back what was not committed; the next statement has another connection"
  },
  // statements
  {
    errnos: [1022, 1062, 1169, 1557, 1586, 1761, 1762, 1859],
    reason: "UniqueViolation",
    ...kept,
    message: duplicate,
    advice: "use another value, or update that row",
    constraint: keyOf
  },
  {
    errnos: [1216, 1217, 1451, 1452],
    reason: "ForeignKeyViolation",
    ...kept,
    message: keep,
    advice: "write the referenced row first, and remove the referencing rows first",
    constraint: foreignKeyOf
  },
  { errnos: [1048, 1263, 1364], reason: "NotNullViolation", ...kept, message: keep, advice: "give the column a value" },
  {
    errnos: [1369, 3819, 4025],
    reason: "CheckViolation",
    ...kept,
    message: keep,
    advice: "use a value that the condition allows",
    constraint: checkOf
  },
  {
    errnos: [1264, 1265, 1406],
    reason: "InvalidData",
    ...kept,
    message: misfit,
    advice: "check the value against the column's type"
  },
  {
    errnos: [1292, 1300, 1365, 1366, 1367, 1411, 1525, 1690],
    states: ["22"],
    reason: "InvalidData",
    ...kept,
    message: badValue,
    advice: "check the value against the column's type"
  },
  {
    errnos: [3140, 3141, 3143, 3144, 3146, 4037, 4038],
    reason: "InvalidData",
    ...kept,
    message: fixed("a text is not valid JSON, or not a valid path into JSON"),
    advice: "check the value"
  },
  {
    errnos: [1139, 3685, 3688, 3692, 3696],
    reason: "InvalidData",
    ...kept,
    message: fixed("a regular expression is not valid"),
    advice: "check the pattern"
  },
  {
    errnos: [1210, 2031, 2034],
    reason: "InvalidParameter",
    ...kept,
    message: keep,
    advice: "give each placeholder one value: a text, number, boolean, Date, Uint8Array or null"
  },
  { errnos: [1064, 1149], reason: "Syntax", ...kept, message: syntax, advice: "correct the statement" },
  {
    errnos: [1052, 1055, 1058, 1065, 1066, 1093, 1110, 1111, 1136, 1140, 1222, 1235, 1241, 1248, 1295],
    reason: "Syntax",
    ...kept,
    message: keep,
    advice: "correct the statement"
  },
  {
    errnos: [1051, 1054, 1091, 1109, 1146, 1176, 1193, 1305, 1630],
    states: ["42S02", "42S22"],
    reason: "UnknownObject",
    ...kept,
    message: keep,
    advice: "correct the name, or run the migration that creates it"
  },
  {
    errnos: [1141, 1142, 1143, 1227, 1345, 1370],
    reason: "AccessDenied",
    ...kept,
    message: keep,
    advice: "grant the account the privilege"
  },
  {
    errnos: [1028, 1317],
    states: ["70100"],
    reason: "Cancelled",
    ...kept,
    message: keep,
    advice: "the statement was interrupted, and its own changes undone"
  },
  {
    errnos: [1969, 3024],
    reason: "StatementTimeout",
    ...kept,
    message: keep,
    advice: "make the statement faster, or raise the server's limit (max_statement_time, max_execution_time)"
  },
  {
    // The driver stops waiting, and the statement still runs.
    codes: ["PROTOCOL_SEQUENCE_TIMEOUT"],
    reason: "StatementTimeout",
    ...refused,
    message: keep,
    advice: "make the statement faster, or raise its timeout"
  },
  {
    errnos: [1153, 2020],
    reason: "PacketTooLarge",
    ...refused,
    message: keep,
    advice: "send less at once, or raise the server's max_allowed_packet"
  },
  // transactions
  {
    errnos: [1020, 1213, 1613, 1614],
    states: ["40001"],
    reason: "Deadlock",
    ...rolledBack,
    message: keep,
    advice: "the server rolled the transaction back; run it again"
  },
  {
    errnos: [1205],
    reason: "LockWaitTimeout",
    ...again,
    transaction: "unsure",
    message: keep,
    advice: "another transaction holds the rows; roll back and run the transaction again"
  },
  {
    errnos: [3058],
    reason: "Deadlock",
    ...again,
    message: keep,
    advice: "user-level locks wait for each other; release them and run the transaction again"
  },
  {
    errnos: [3572],
    reason: "LockNotAvailable",
    ...kept,
    message: keep,
    advice: "another transaction holds the rows; try later, or wait for them without NOWAIT"
  },
  {
    errnos: [1290, 1836, 1874],
    reason: "ReadOnlyServer",
    retryable: true,
    discard: true,
    transaction: "kept",
    fleet: true,
    message: keep,
    advice: "after a fail-over the old writer is a replica; check that the URL's host names the writer"
  },
  {
    errnos: [1792],
    states: ["25006"],
    reason: "ReadOnlyTransaction",
    ...kept,
    message: keep,
    advice: "the transaction was begun with readOnly; write outside of it"
  },
  // no reason of their own
  {
    errnos: [1412, 1615, 1637],
    reason: "Unknown",
    ...again,
    message: keep,
    advice: "run the transaction again"
  },
  {
    errnos: [1243, 1461],
    reason: "Unknown",
    ...refused,
    message: keep,
    advice: "behind a proxy, or short of prepared statements, set PREPARED_STATEMENTS to false"
  },
  {
    errnos: [1644],
    states: ["45000"],
    reason: "Unknown",
    ...kept,
    message: fixed("a trigger or routine refused it with SIGNAL; the text is left out because it may quote values"),
    advice: "tell its errors apart by the SQLSTATE and the errno that it sets"
  }
]
