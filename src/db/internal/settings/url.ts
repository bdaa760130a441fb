/**
 * The URL of a database: `mysql://user:password@host:port/database?options`.
 *
 * The SQLAlchemy spellings (`mysql+aiomysql://` and so on) mean the same, and are read as SQLAlchemy reads them: user,
 * password and database are percent-decoded, `+` in them stays `+`, and an unencoded password may hold `@ : / # ?` as
 * long as only one reading of the whole is possible. With the option `socket` the host may be missing.
 */
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as Net from "node:net"
import type { Finding } from "../../../internal/valueChecks.ts"
import { defaults } from "./defaults.ts"
import { parseOptions, type UrlOptions } from "./urlOptions.ts"

export interface DatabaseUrl {
  /** A name or an address; an IPv6 address without its brackets. With a socket it is always `localhost`. */
  readonly host: string
  /** 3306 if the URL has none. */
  readonly port: number
  readonly user: string
  /** Empty if the URL has none. */
  readonly password: Redacted.Redacted
  readonly database: string
  readonly options: UrlOptions
}

const schemes = ["mysql", "mariadb"].flatMap((name) => [name, `${name}+aiomysql`, `${name}+asyncmy`, `${name}+pymysql`])

const shape = "write it as mysql://user:password@host:3306/database"

/**
 * Reads a URL. The left side lists everything that is wrong with it. No finding quotes the password or anything that
 * could be a part of the password.
 */
export const parse = (url: string): Either.Either<DatabaseUrl, ReadonlyArray<Finding>> => {
  const text = url.trim()
  const scheme = /^([^:/?#@]*):\/\//.exec(text)?.[1]
  if (scheme === undefined) return Either.left([{ detail: "does not begin with a scheme", hint: shape }])
  const findings: Array<Finding> = []
  if (!schemes.includes(scheme.toLowerCase())) findings.push(unknownScheme(scheme))
  const body = text.slice(scheme.length + 3)
  const readings = readingsOf(body).filter(isComplete)
  if (readings.length > 1) {
    findings.push({
      detail: "can be read in more than one way because of an unencoded '@'",
      hint: "percent-encode the user, the password and the options ('@' is %40, ':' %3A, '/' %2F, '?' %3F, '#' %23)"
    })
    return Either.left(findings)
  }
  const reading = readings[0] ?? standardReading(body)
  const user = decode("user", reading.user, findings)
  const password = decode("password", reading.password, findings)
  const { host, port } = readAddress(reading, findings)
  const database = decode("database", reading.database, findings)
  if (reading.user === "") findings.push(missing("user"))
  if (reading.database === "") findings.push(missing("database"))
  else if (!databaseName.test(reading.database)) {
    findings.push({
      detail: "the database is not a valid name",
      hint: "percent-encode the special characters in it, and in the password ('/' is %2F)"
    })
  }
  // If there is no certain way to split the URL, what looks like an option may be a piece of the password.
  const certain = readings.length === 1
  const options = parseOptions(certain || /^[^@?]*@[^@]*$/.test(body) ? reading.query : "", certain)
  if (Either.isLeft(options)) {
    return Either.left([...findings, ...options.left])
  }
  if (options.right.sslMode === "VERIFY_IDENTITY" && Net.isIP(host) !== 0) {
    findings.push({
      detail: "ssl-mode=VERIFY_IDENTITY compares the certificate with the name of the host, and the host is an address",
      hint: "use the host's name, or ssl-mode=VERIFY_CA"
    })
  }
  if (options.right.socket !== undefined && host !== LOCALHOST) {
    findings.push({
      detail: "the option socket names a socket of this machine, and the host is not localhost",
      hint: "write localhost as the host, or leave socket out to connect to the host"
    })
  }
  return findings.length > 0
    ? Either.left(findings)
    : Either.right({ host, port, user, password: Redacted.make(password), database, options: options.right })
}

const missing = (part: string): Finding => ({ detail: `the ${part} is missing`, hint: shape })

const unknownScheme = (scheme: string): Finding => {
  const accepted = schemes.map((name) => `${name}://`).join(", ")
  return /^[a-z][a-z0-9+._-]{0,39}$/i.test(scheme)
    ? { detail: `the scheme ${scheme}:// is not that of a MySQL database`, hint: `use one of ${accepted}` }
    : {
      detail: "does not begin with a scheme",
      hint: `remove any quotation marks around it, and begin it with one of ${accepted}`
    }
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

const LOCALHOST = "localhost"

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

/** Splits as other URL parsers do: at the last `@` before the first `/ ? #`, or else at the last `@` of all. */
const standardReading = (body: string): Reading => {
  const authority = body.split(/[/?#]/, 1)[0] ?? ""
  const at = authority.includes("@") ? authority.lastIndexOf("@") : body.lastIndexOf("@")
  return at < 0 ? split("", body) : split(body.slice(0, at), body.slice(at + 1))
}

const isComplete = (reading: Reading): boolean =>
  reading.user !== ""
  && (hostName.test(reading.host) || isBracketed(reading.host) || (reading.host === "" && hasSocket(reading)))
  && (reading.port === undefined || isPort(reading.port))
  && databaseName.test(reading.database)
  && reading.query.split("&").every((option) => option === "" || /^[\w.-]+(?:=|$)/.test(option))

const hasSocket = ({ query }: Reading): boolean => /(?:^|&)(?:unix[-_])?socket=/i.test(query)

/** Several hosts with a comma between them, as other drivers take them for fail-over. */
const severalHosts = /^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d*)?(?:,(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d*)?)+$/i

const isBracketed = (host: string): boolean => /^\[.*\]$/.test(host) && Net.isIPv6(withZone(host.slice(1, -1)))

// RFC 6874 writes the `%` before the zone of an address as `%25`.
const withZone = (address: string): string => address.replace("%25", "%")

const isPort = (port: string): boolean => /^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535

const readAddress = (reading: Reading, findings: Array<Finding>): Pick<DatabaseUrl, "host" | "port"> => {
  const { host, port } = reading
  if (host === "" && hasSocket(reading)) return { host: LOCALHOST, port: defaults.port }
  if (severalHosts.test(port === undefined ? host : `${host}:${port}`)) {
    findings.push({
      detail: "names several hosts",
      hint: "give one: the name that always leads to the writer, or that of a proxy in front of the servers"
    })
  } else if (Net.isIPv6(`${host}:${port}`)) {
    findings.push({ detail: "the host is an IPv6 address without brackets", hint: "write it as in [::1]:3306" })
  } else {
    if (host === "") {
      findings.push(missing("host"))
    } else if (!hostName.test(host) && !isBracketed(host)) {
      findings.push({
        detail: "the host is neither a name nor an address",
        hint: "percent-encode the special characters in the password"
      })
    }
    if (port !== undefined && !isPort(port)) {
      findings.push({
        detail: "the port must be a whole number from 1 to 65535",
        hint: "if what follows the ':' is the password, add '@' and the host after it"
      })
    }
  }
  return { host: isBracketed(host) ? withZone(host.slice(1, -1)) : host, port: Number(port ?? defaults.port) }
}

const decode = (part: string, text: string, findings: Array<Finding>): string =>
  Either.getOrElse(
    Either.try(() => decodeURIComponent(text)),
    () => {
      findings.push({
        detail: `the ${part} has a '%' that does not begin a valid percent-escape of UTF-8 text`,
        hint: "write '%' itself as %25"
      })
      return text
    }
  )
