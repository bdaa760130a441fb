/** The options of a database's URL: what follows the `?`. */
import * as Either from "effect/Either"

export type SslMode = "DISABLED" | "REQUIRED" | "VERIFY_CA" | "VERIFY_IDENTITY"

export interface UrlOptions {
  /** A character set or a collation of MySQL, lower case; `utf8mb4` where the URL names none. */
  readonly charset: string
  /** The offset in which the database's DATETIMEs are written, in the form `+00:00`, which is also the default. */
  readonly timezone: string
  /** Whether DATE, DATETIME and TIMESTAMP arrive as `Date` (the default) or as the server's text. */
  readonly dates: "date" | "string"
  /** `DISABLED` where the URL says nothing of TLS. */
  readonly sslMode: SslMode
  /** The path of a PEM file with the certificates of the authorities to trust, instead of those that Node trusts. */
  readonly sslCa: string | undefined
  /** Whether one text may hold several statements; false by default, because it widens every injection. */
  readonly multipleStatements: boolean
  /** Milliseconds. */
  readonly connectTimeout: number | undefined
}

/**
 * Reads `a=1&b=2`; the left side lists every problem. Names are of any case, with `-` or `_`; values are form-encoded.
 * Unless this is `certain` to be a list of options, the problems quote no name that is not one of ours.
 */
export const parseOptions = (query: string, certain: boolean): Either.Either<UrlOptions, ReadonlyArray<string>> => {
  const problems: Array<string> = []
  const given = collect(query, certain, problems)
  const values: Values = {}
  for (const [name, value] of given) {
    const problem = readers[name]?.(value, values)
    if (problem !== undefined) problems.push(`the option ${name} ${problem}`)
  }
  const { charset = "utf8mb4", connectTimeout, dates = "date", multipleStatements = false, sslCa } = values
  const { sslMode = sslCa === undefined ? "DISABLED" : "VERIFY_CA", timezone = "+00:00" } = values
  if (sslCa !== undefined && (sslMode === "DISABLED" || sslMode === "REQUIRED")) {
    problems.push(
      `the option ssl-ca names certificates that ssl-mode=${sslMode} would not check; use ssl-mode=VERIFY_CA or `
        + "VERIFY_IDENTITY, or leave ssl-ca out"
    )
  }
  return problems.length > 0
    ? Either.left(problems)
    : Either.right({ charset, timezone, dates, sslMode, sslCa, multipleStatements, connectTimeout })
}

/** The options by their canonical names, each once. */
const collect = (query: string, certain: boolean, problems: Array<string>): ReadonlyMap<string, string> => {
  const given = new Map<string, string>()
  for (const item of query.split("&")) {
    if (item === "") continue
    const equals = item.indexOf("=")
    const written = equals < 0 ? item : item.slice(0, equals)
    const name = canonical(written)
    const value = Either.try(() => decodeURIComponent(item.slice(written.length + 1).replaceAll("+", " ")).trim())
    if (readers[name] === undefined) {
      const which = certain && equals > 0 ? `the option ${abbreviate(written)}` : "an option"
      problems.push(`${which} is not known; ${hint(name)}known are ${known}`)
    } else if (Either.isLeft(value)) {
      problems.push(`the option ${name} holds a '%' that begins no percent-escape of UTF-8 text; write '%' as %25`)
    } else if (given.has(name) && given.get(name) !== value.right) {
      problems.push(`the option ${name} is given twice, with different values; give it once`)
    } else {
      given.set(name, value.right)
    }
  }
  return given
}

const canonical = (written: string): string => {
  const name = written.toLowerCase().replaceAll("_", "-")
  return name === "time-zone" ? "timezone" : name
}

type Values = { -readonly [K in keyof UrlOptions]?: UrlOptions[K] }

/** Each option puts its value in place, or says what is wrong with it. */
const readers: Readonly<Record<string, (value: string, values: Values) => string | undefined>> = {
  __proto__: null as never,
  charset: (value, values) => {
    const name = value.toLowerCase()
    const base = name.split("_", 1)[0] ?? ""
    if (/^(?:ucs2|utf16|utf16le|utf32)$/.test(base)) {
      return `is ${base}, which MySQL does not accept from a client; use utf8mb4`
    }
    if (!charsets.has(base) || !/^[a-z0-9_]+$/.test(name)) {
      return `is ${quote(value)}, which is no character set of MySQL; use utf8mb4`
    }
    // The driver knows utf8mb3 by its older name only.
    values.charset = name.replace(/^utf8mb3/, "utf8")
    return undefined
  },
  timezone: (value, values) => {
    // A '+' that was not encoded arrives as a space.
    const [, sign, hours, minutes] = /^([+-]?)(\d{1,2}):(\d\d)$/.exec(value) ?? []
    if (/^(?:z|utc)$/i.test(value)) {
      values.timezone = "+00:00"
      return undefined
    }
    if (/^(?:local|system)$/i.test(value)) {
      return `is ${quote(value)}, which differs from machine to machine and moves times that daylight saving skips; `
        + "use Z or an offset such as +02:00"
    }
    const offset = Number(hours) * 60 + Number(minutes)
    if (hours === undefined || Number(minutes) > 59 || offset > (sign === "-" ? 839 : 840)) {
      return `is ${quote(value)}; it has to be Z, UTC or an offset from -13:59 to +14:00`
    }
    values.timezone = `${sign === "-" && offset > 0 ? "-" : "+"}${hours.padStart(2, "0")}:${minutes}`
    return undefined
  },
  dates: (value, values) => {
    const name = value.toLowerCase()
    if (name !== "date" && name !== "string") return `is ${quote(value)}; it has to be date or string`
    values.dates = name
    return undefined
  },
  "ssl-mode": (value, values) => {
    const mode = value.toUpperCase().replaceAll("-", "_")
    if (mode === "PREFERRED") {
      return "is PREFERRED, which falls back to an unencrypted connection without saying so; use REQUIRED, VERIFY_CA or "
        + "VERIFY_IDENTITY, or DISABLED to say that it is not encrypted"
    }
    const known = sslModes.find((name) => name === mode)
    if (known === undefined) return `is ${quote(value)}; it has to be one of ${sslModes.join(", ")}`
    values.sslMode = known
    return undefined
  },
  "ssl-ca": (value, values) => {
    if (value === "") return "is empty; it has to be the path of a PEM file"
    values.sslCa = value
    return undefined
  },
  "multiple-statements": (value, values) => {
    const flag = booleanOf(value)
    if (flag === undefined) return `is ${quote(value)}; it has to be true or false`
    values.multipleStatements = flag
    return undefined
  },
  "connect-timeout": (value, values) => {
    const seconds = /^\d+(?:\.\d+)?$/.test(value) ? Number(value) : Number.NaN
    if (!(seconds > 0 && seconds <= 86_400)) {
      return `is ${quote(value)}; it has to be a number of seconds above 0, of a day at most`
    }
    values.connectTimeout = seconds * 1000
    return undefined
  },
  autocommit: (value) =>
    booleanOf(value) === true
      ? undefined
      : `is ${quote(value)}; connections work with autocommit=true, and withTransaction begins a transaction`
}

const known = Object.keys(readers).filter((name) => name !== "autocommit").join(", ")

const sslModes: ReadonlyArray<SslMode> = ["DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"]

const charsets = new Set(
  ("armscii8 ascii big5 binary cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 cp932 dec8 eucjpms euckr gb18030 gb2312 gbk "
    + "geostd8 greek hebrew hp8 keybcs2 koi8r koi8u latin1 latin2 latin5 latin7 macce macroman sjis swe7 tis620 ujis utf8 "
    + "utf8mb3 utf8mb4").split(" ")
)

/** `true`/`false` as people and Python write them, of any case. */
export const booleanOf = (value: string): boolean | undefined =>
  /^(?:true|1|yes|on)$/i.test(value) ? true : /^(?:false|0|no|off)$/i.test(value) ? false : undefined

const hint = (name: string): string => {
  const found = hints.find(([pattern]) => pattern.test(name))
  return found === undefined ? "" : `${found[1]}; `
}

/** What other drivers call it, and what to do here instead. */
const hints: ReadonlyArray<readonly [RegExp, string]> = [
  [/^(unix-)?socket$/, "connections go over TCP, to the URL's host and port"],
  [/^(init-command|sql-mode)$/, "set it on the server or in the statement"],
  [/^(local-infile|allow-local-infile)$/, "LOAD DATA LOCAL is not supported"],
  [/^(read|write)-timeout$/, "give withTransaction or the effect itself a timeout"],
  [/^ssl-(cert|key|capath|cipher)$/, "client certificates are not supported, only ssl-mode and ssl-ca"],
  [/^(ssl-check-hostname|ssl-verify-identity)$/, "say ssl-mode=VERIFY_IDENTITY"],
  [/^(ssl-verify-cert|verifyservercertificate)$/, "say ssl-mode=VERIFY_CA"],
  [/^(ssl|tls|usessl|ssl-disabled|sslmode)$/, "say ssl-mode=REQUIRED, VERIFY_CA or VERIFY_IDENTITY"],
  [/^(use-unicode|binary-prefix|cursorclass|conv|echo)$/, "it has no meaning here: leave it out"],
  [
    /^(pool-.*|max-overflow|isolation-level)$/,
    "the pool and the isolation level have settings of their own, beside the URL"
  ],
  [/^(servertimezone|tz)$/, "say timezone"],
  [/^(multi-statements|allowmultiqueries|multiplestatements)$/, "say multiple-statements"],
  [/^(connection-timeout|connecttimeout)$/, "say connect-timeout"],
  [/^(datestrings|date-strings)$/, "say dates=string"]
]

const abbreviate = (text: string): string => text.length <= 40 ? text : `${text.slice(0, 37)}...`

const quote = (value: string): string => JSON.stringify(abbreviate(value))
