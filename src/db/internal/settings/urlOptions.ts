/** The options of a database's URL: what follows the `?`. */
import * as Either from "effect/Either"
import { QUOTED_VALUE, truncate } from "../../../internal/textLimits.ts"
import { boolean, booleanOf, type Check, type Finding, mustBe, oneOf } from "../../../internal/valueChecks.ts"
import { defaults } from "./defaults.ts"

const sslModes = ["DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"] as const
export type SslMode = typeof sslModes[number]

const bigintOptions = ["number", "string", "bigint", "auto"] as const
export type BigintOption = typeof bigintOptions[number]

export interface UrlOptions {
  /** A character set or a collation of MySQL, in lower case. Default `utf8mb4`. */
  readonly charset: string
  /** The offset of the times in DATETIME columns, in the form `+00:00`, which is the default. */
  readonly timezone: string
  /** Whether DATE, DATETIME and TIMESTAMP arrive as `Date` (the default) or as the server's text. */
  readonly dates: "date" | "string"
  /** How BIGINT arrives; `number`, the default, refuses what is beyond 2^53. */
  readonly bigint: BigintOption
  /** Default `DISABLED`, and `VERIFY_CA` with `ssl-ca`. */
  readonly sslMode: SslMode
  /** The path of a PEM file with the certificates of the authorities to trust, instead of those that Node trusts. */
  readonly sslCa: string | undefined
  /** The paths of PEM files with the client's certificate and its private key. Both or neither. */
  readonly sslCert: string | undefined
  readonly sslKey: string | undefined
  /** The path of the server's Unix socket, which is used instead of host and port. */
  readonly socket: string | undefined
  /** Whether a server may send the key that the password is encrypted with, over TCP without TLS. Default false. */
  readonly allowPublicKeyRetrieval: boolean
  /** Whether one text may hold several statements. Default false, because it makes SQL injection worse. */
  readonly multipleStatements: boolean
  /** Milliseconds. */
  readonly connectTimeout: number | undefined
}

/**
 * Reads `a=1&b=2`; the left side lists everything that is wrong. Names may be in any case, with `-` or `_`; values are
 * form-encoded. Unless it is `certain` that this is a list of options, no name is quoted that is not one of ours.
 */
export const parseOptions = (query: string, certain: boolean): Either.Either<UrlOptions, ReadonlyArray<Finding>> => {
  const findings: Array<Finding> = []
  const values: Values = {}
  for (const [name, text] of collect(query, certain, findings)) {
    const value = readers[name]?.(text) ?? Either.right({})
    if (Either.isRight(value)) Object.assign(values, value.right)
    else findings.push({ ...value.left, detail: `the option ${name} ${value.left.detail}` })
  }
  const { allowPublicKeyRetrieval, bigint, charset, dates, multipleStatements, timezone } = { ...defaults, ...values }
  const { connectTimeout, socket, sslCa, sslCert, sslKey } = values
  const sslMode = values.sslMode ?? (sslCa === undefined && sslCert === undefined ? defaults.sslMode : "VERIFY_CA")
  if (sslCa !== undefined && (sslMode === "DISABLED" || sslMode === "REQUIRED")) {
    findings.push({
      detail: `the option ssl-ca names certificates that ssl-mode=${sslMode} would not check`,
      hint: "use ssl-mode=VERIFY_CA or VERIFY_IDENTITY, or leave ssl-ca out"
    })
  }
  if ((sslCert === undefined) !== (sslKey === undefined)) {
    findings.push({
      detail: `the option ${sslCert === undefined ? "ssl-key" : "ssl-cert"} is given alone`,
      hint: "give ssl-cert and ssl-key together, the client's certificate and its private key"
    })
  } else if (sslCert !== undefined && sslMode === "DISABLED") {
    findings.push({
      detail: "the option ssl-cert names a certificate that ssl-mode=DISABLED would not show",
      hint: "use ssl-mode=REQUIRED, VERIFY_CA or VERIFY_IDENTITY, or leave ssl-cert and ssl-key out"
    })
  }
  return findings.length > 0 ? Either.left(findings) : Either.right({
    charset,
    timezone,
    dates,
    bigint,
    sslMode,
    sslCa,
    sslCert,
    sslKey,
    socket,
    allowPublicKeyRetrieval,
    multipleStatements,
    connectTimeout
  })
}

/** The options by their canonical names, each once. */
const collect = (query: string, certain: boolean, findings: Array<Finding>): ReadonlyMap<string, string> => {
  const given = new Map<string, string>()
  for (const item of query.split("&")) {
    if (item === "") continue
    const equals = item.indexOf("=")
    const written = equals < 0 ? item : item.slice(0, equals)
    const name = canonical(written)
    const value = Either.try(() => decodeURIComponent(item.slice(written.length + 1).replaceAll("+", " ")).trim())
    if (readers[name] === undefined) {
      const which = certain && equals > 0 ? `the option ${truncate(written, QUOTED_VALUE)}` : "an option"
      findings.push({ detail: `${which} is not known`, hint: hintFor(name) })
    } else if (Either.isLeft(value)) {
      findings.push({
        detail: `the option ${name} has a '%' that does not begin a valid percent-escape of UTF-8 text`,
        hint: "write '%' itself as %25"
      })
    } else if (given.has(name) && given.get(name) !== value.right) {
      findings.push({ detail: `the option ${name} is given twice, with different values`, hint: "give it once" })
    } else {
      given.set(name, value.right)
    }
  }
  return given
}

const canonical = (written: string): string => {
  const name = written.toLowerCase().replaceAll("_", "-")
  return synonyms.get(name) ?? name
}

const synonyms = new Map([["time-zone", "timezone"], ["unix-socket", "socket"]])

type Values = { -readonly [K in keyof UrlOptions]?: UrlOptions[K] }

/** Gives the value of one option, or what is wrong with it. */
type Reader = (text: string) => Either.Either<Values, Finding>

const reader = <K extends keyof UrlOptions>(field: K, check: Check<UrlOptions[K]>): Reader => (text) =>
  Either.map(check(text), (value) => ({ [field]: value }))

const pemFile = (field: "sslCa" | "sslCert" | "sslKey"): Reader => (text) =>
  text === "" ? wrong("is empty", "give it the path of a PEM file") : Either.right({ [field]: text })

/** What fits into the address of a Unix socket on Linux, its last 0 not counted. */
const SOCKET_PATH = 107

const readers: Readonly<Record<string, Reader>> = {
  __proto__: null as never,
  charset: (text) => {
    const name = text.toLowerCase()
    const base = name.split("_", 1)[0] ?? ""
    if (/^(?:ucs2|utf16|utf16le|utf32)$/.test(base)) {
      return wrong(`is ${base}, which MySQL does not accept from a client`, "use utf8mb4")
    }
    if (!charsets.has(base) || !/^[a-z0-9_]+$/.test(name)) {
      return wrong(`is ${quote(text)}, which is not a character set of MySQL`, "use utf8mb4")
    }
    // The driver knows utf8mb3 by its older name only.
    return Either.right({ charset: name.replace(/^utf8mb3/, "utf8") })
  },
  timezone: (text) => {
    if (/^(?:z|utc)$/i.test(text)) return Either.right({ timezone: "+00:00" })
    if (/^(?:local|system)$/i.test(text)) {
      return wrong(
        `is ${quote(text)}, which differs from machine to machine and moves times that daylight saving skips`,
        "use Z or an offset such as +02:00"
      )
    }
    // A '+' that was not encoded arrives as a space.
    const [, sign, hours, minutes] = /^([+-]?)(\d{1,2}):(\d\d)$/.exec(text) ?? []
    const offset = Number(hours) * 60 + Number(minutes)
    if (hours === undefined || Number(minutes) > 59 || offset > (sign === "-" ? 839 : 840)) {
      return mustBe("Z, UTC or an offset from -13:59 to +14:00", text)
    }
    return Either.right({
      timezone: `${sign === "-" && offset > 0 ? "-" : "+"}${hours.padStart(2, "0")}:${minutes}`
    })
  },
  dates: reader("dates", oneOf(["date", "string"])),
  bigint: reader("bigint", oneOf(bigintOptions)),
  "ssl-mode": (text) => {
    const mode = text.toUpperCase().replaceAll("-", "_")
    if (mode === "PREFERRED") {
      return wrong(
        "is PREFERRED, which falls back to an unencrypted connection without saying so",
        "use REQUIRED, VERIFY_CA or VERIFY_IDENTITY, or DISABLED for a connection without encryption"
      )
    }
    const sslMode = sslModes.find((name) => name === mode)
    return sslMode === undefined ? mustBe(`one of ${sslModes.join(", ")}`, text) : Either.right({ sslMode })
  },
  "ssl-ca": pemFile("sslCa"),
  "ssl-cert": pemFile("sslCert"),
  "ssl-key": pemFile("sslKey"),
  socket: (text) =>
    text.startsWith("/") && Buffer.byteLength(text) <= SOCKET_PATH
      ? Either.right({ socket: text })
      : mustBe(`an absolute path of at most ${SOCKET_PATH} bytes`, text),
  "allow-public-key-retrieval": reader("allowPublicKeyRetrieval", boolean),
  "multiple-statements": reader("multipleStatements", boolean),
  "connect-timeout": (text) => {
    const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN
    return seconds > 0 && seconds <= 86_400
      ? Either.right({ connectTimeout: seconds * 1000 })
      : mustBe("a number of seconds above 0, of a day at most", text)
  },
  // `true` is accepted because connections here always have autocommit on.
  autocommit: (text) =>
    booleanOf(text) === true
      ? Either.right({})
      : mustBe("true", text, "leave it out, and begin transactions with withTransaction")
}

const wrong = (detail: string, hint?: string): Either.Either<never, Finding> =>
  Either.left(hint === undefined ? { detail } : { detail, hint })

const quote = (text: string): string => JSON.stringify(truncate(text, QUOTED_VALUE))

const charsets = new Set(
  ("armscii8 ascii big5 binary cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 cp932 dec8 eucjpms euckr gb18030 gb2312 gbk "
    + "geostd8 greek hebrew hp8 keybcs2 koi8r koi8u latin1 latin2 latin5 latin7 macce macroman sjis swe7 tis620 ujis utf8 "
    + "utf8mb3 utf8mb4").split(" ")
)

/** What to do about an option that is not known. */
const hintFor = (name: string): string => {
  const known = Object.keys(readers).filter((option) => option !== "autocommit").join(", ")
  const found = insteadOf.find(([pattern]) => pattern.test(name))
  return found === undefined ? `use one of ${known}` : `${found[1]} (known options: ${known})`
}

/** Options of other drivers, by their canonical names, and what to do here instead. */
const insteadOf: ReadonlyArray<readonly [RegExp, string]> = [
  [/^(init-command|sql-mode)$/, "set it on the server or in the statement"],
  [/^(local-infile|allow-local-infile)$/, "leave it out: LOAD DATA LOCAL is not supported"],
  [/^(read|write)-timeout$/, "give withTransaction or the effect itself a timeout"],
  [/^ssl-(capath|cipher|key-password|passphrase)$/, "use ssl-mode, ssl-ca, ssl-cert and ssl-key only"],
  [/^(ssl-certfile|ssl-keyfile|ssl-cafile)$/, "use ssl-ca, ssl-cert and ssl-key"],
  [/^(ssl-check-hostname|ssl-verify-identity)$/, "use ssl-mode=VERIFY_IDENTITY"],
  [/^(ssl-verify-cert|verifyservercertificate)$/, "use ssl-mode=VERIFY_CA"],
  [/^(ssl|tls|usessl|ssl-disabled|sslmode)$/, "use ssl-mode=REQUIRED, VERIFY_CA or VERIFY_IDENTITY"],
  [/^(use-unicode|binary-prefix|cursorclass|conv|echo)$/, "leave it out: it has no meaning here"],
  [
    /^(pool-.*|max-overflow|isolation-level)$/,
    "leave it out: the pool and the isolation level have settings of their own, beside the URL"
  ],
  [/^(servertimezone|tz)$/, "use timezone"],
  [/^(allowpublickeyretrieval|get-server-public-key|server-public-key.*)$/, "use allow-public-key-retrieval"],
  [/^(multi-statements|allowmultiqueries|multiplestatements)$/, "use multiple-statements"],
  [/^(connection-timeout|connecttimeout)$/, "use connect-timeout"],
  [/^(datestrings|date-strings)$/, "use dates=string"],
  [/^(supportbignumbers|big-?numbers?-?strings|support-big-numbers)$/, "use bigint"]
]
