/**
 * The URL of a database: `mysql://user:password@host:port/database?options`.
 *
 * The SQLAlchemy spellings (`mysql+aiomysql://` and so on) mean the same, and are read as SQLAlchemy reads them: user,
 * password and database are percent-decoded, `+` in them stays `+`, and an unencoded password may hold `@ : / # ?` as
 * long as only one reading of the whole is possible.
 */
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as Net from "node:net"
import { parseOptions, type UrlOptions } from "./urlOptions.ts"

export type { UrlOptions } from "./urlOptions.ts"

export interface DatabaseUrl {
  /** A name or an address; an IPv6 address without its brackets. */
  readonly host: string
  /** 3306 where the URL names none. */
  readonly port: number
  readonly user: string
  /** Empty where the URL has none. */
  readonly password: Redacted.Redacted
  readonly database: string
  readonly options: UrlOptions
}

const schemes = ["mysql", "mariadb"].flatMap((name) => [name, `${name}+aiomysql`, `${name}+asyncmy`, `${name}+pymysql`])

const shape = "mysql://user:password@host:3306/database"

/**
 * Reads a URL. The left side lists everything that is wrong with it; none of that quotes the password or anything that
 * could be a part of it.
 */
export const parse = (url: string): Either.Either<DatabaseUrl, ReadonlyArray<string>> => {
  const text = url.trim()
  const scheme = /^([^:/?#@]*):\/\//.exec(text)?.[1]
  if (scheme === undefined) {
    return Either.left([`does not begin with a scheme; it has to look like ${shape}`])
  }
  const problems: Array<string> = []
  if (!schemes.includes(scheme.toLowerCase())) {
    const accepted = `accepted are ${schemes.map((name) => `${name}://`).join(", ")}`
    problems.push(
      /^[a-z][a-z0-9+._-]{0,39}$/i.test(scheme)
        ? `the scheme ${scheme}:// is not one of a MySQL database; ${accepted}`
        : `does not begin with a scheme (is it wrapped in quotation marks?); ${accepted}`
    )
  }
  const body = text.slice(scheme.length + 3)
  const readings = readingsOf(body).filter(isComplete)
  if (readings.length > 1) {
    problems.push(
      "can be read in more than one way because of an unencoded '@'; percent-encode the user, the password and the "
        + "options ('@' is %40, ':' %3A, '/' %2F, '?' %3F, '#' %23)"
    )
    return Either.left(problems)
  }
  const reading = readings[0] ?? standardReading(body)
  const user = decode("user", reading.user, problems)
  const password = decode("password", reading.password, problems)
  const { host, port } = readAddress(reading, problems)
  const database = decode("database", reading.database, problems)
  if (reading.user === "") problems.push(`the user is missing; it has to look like ${shape}`)
  if (reading.database === "") problems.push(`the database is missing; it has to look like ${shape}`)
  else if (!databaseName.test(reading.database)) {
    problems.push("the database is not a name; percent-encode what is special in it, and in the password ('/' is %2F)")
  }
  // Where the URL could not be split with certainty, what looks like an option may be a piece of the password.
  const certain = readings.length === 1
  const options = parseOptions(certain || /^[^@?]*@[^@]*$/.test(body) ? reading.query : "", certain)
  if (Either.isLeft(options)) {
    return Either.left([...problems, ...options.left])
  }
  if (options.right.sslMode === "VERIFY_IDENTITY" && Net.isIP(host) !== 0) {
    problems.push(
      "ssl-mode=VERIFY_IDENTITY compares the certificate with the name of the host, and the host is an address; "
        + "use the name, or ssl-mode=VERIFY_CA"
    )
  }
  return problems.length > 0
    ? Either.left(problems)
    : Either.right({ host, port, user, password: Redacted.make(password), database, options: options.right })
}

/** The pieces of a URL, not yet decoded or checked. */
interface Reading {
  readonly user: string
  readonly password: string
  readonly host: string
  readonly port: string | undefined
  readonly database: string
  readonly query: string
}

const databaseName = /^[^/@?#]+$/
const hostName = /^[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_.])?$/i

const split = (userinfo: string, rest: string): Reading => {
  const colon = userinfo.indexOf(":")
  const [, host = "", port, database = "", query = ""] =
    /^(\[[^\]/?]*\]|[^:/?]*)(?::([^/?]*))?(?:\/([^?]*))?(?:\?([^]*))?$/.exec(rest) ?? []
  return {
    user: colon < 0 ? userinfo : userinfo.slice(0, colon),
    password: colon < 0 ? "" : userinfo.slice(colon + 1),
    host,
    port,
    database,
    query
  }
}

/** One reading for each `@` that could be the one before the host. */
const readingsOf = (body: string): ReadonlyArray<Reading> =>
  Array.from(body.matchAll(/@/g), ({ index }) => split(body.slice(0, index), body.slice(index + 1)))

/** As any other reader of URLs would take it: what comes before the last `@` of the part before the first `/ ? #`. */
const standardReading = (body: string): Reading => {
  const authority = body.split(/[/?#]/, 1)[0] ?? ""
  const at = authority.includes("@") ? authority.lastIndexOf("@") : body.lastIndexOf("@")
  return at < 0 ? split("", body) : split(body.slice(0, at), body.slice(at + 1))
}

const isComplete = (reading: Reading): boolean =>
  reading.user !== ""
  && (hostName.test(reading.host) || isBracketed(reading.host))
  && (reading.port === undefined || isPort(reading.port))
  && databaseName.test(reading.database)
  && reading.query.split("&").every((option) => option === "" || /^[\w.-]+(?:=|$)/.test(option))

const isBracketed = (host: string): boolean => /^\[.*\]$/.test(host) && Net.isIPv6(withZone(host.slice(1, -1)))

// RFC 6874 writes the `%` before the zone of an address as `%25`.
const withZone = (address: string): string => address.replace("%25", "%")

const isPort = (port: string): boolean => /^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535

const readAddress = ({ host, port }: Reading, problems: Array<string>): Pick<DatabaseUrl, "host" | "port"> => {
  if (Net.isIPv6(`${host}:${port}`)) {
    problems.push("the host is an IPv6 address, which goes in brackets: [::1]:3306")
  } else {
    if (host === "") {
      problems.push(`the host is missing; it has to look like ${shape}`)
    } else if (!hostName.test(host) && !isBracketed(host)) {
      problems.push(
        "the host is neither a name nor an address; what is special in the password is to be percent-encoded"
      )
    }
    if (port !== undefined && !isPort(port)) {
      problems.push(
        "the port is not a whole number from 1 to 65535; if what follows the ':' is the password, an '@' and the host are "
          + "missing after it"
      )
    }
  }
  return { host: isBracketed(host) ? withZone(host.slice(1, -1)) : host, port: Number(port ?? 3306) }
}

const decode = (part: string, text: string, problems: Array<string>): string =>
  Either.getOrElse(
    Either.try(() => decodeURIComponent(text)),
    () => {
      problems.push(`the ${part} holds a '%' that begins no percent-escape of UTF-8 text; write '%' itself as %25`)
      return text
    }
  )
