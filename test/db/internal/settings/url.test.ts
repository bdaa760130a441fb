import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import { type DatabaseUrl, parse } from "../../../../src/db/internal/settings/url.ts"
import type { Finding } from "../../../../src/internal/valueChecks.ts"

const read = (url: string) =>
  Either.map(parse(url), ({ password, ...rest }) => ({ ...rest, password: Redacted.value(password) }))

/** As a person reads it. */
const textOf = ({ detail, hint }: Finding): string => hint === undefined ? detail : `${detail}; ${hint}`

const right = (url: string) =>
  Either.getOrThrowWith(read(url), (findings) => new Error(findings.map(textOf).join("\n")))

const findings = (url: string): ReadonlyArray<Finding> => Either.getOrThrow(Either.flip(parse(url)))

const left = (url: string): ReadonlyArray<string> => findings(url).map(textOf)

const option = (text: string): DatabaseUrl["options"] => right(`mysql://u:p@h/d?${text}`).options

const optionFindings = (text: string): ReadonlyArray<Finding> => findings(`mysql://u:p@h/d?${text}`)

const optionProblems = (text: string): string => optionFindings(text).map(textOf).join("\n")

describe("parse", () => {
  it("reads all parts", () => {
    expect(right("mysql://app:secret@db.example.com:3307/main?charset=latin1")).toEqual({
      host: "db.example.com",
      port: 3307,
      user: "app",
      password: "secret",
      database: "main",
      options: {
        charset: "latin1",
        timezone: "+00:00",
        dates: "date",
        bigint: "number",
        sslMode: "DISABLED",
        sslCa: undefined,
        sslCert: undefined,
        sslKey: undefined,
        socket: undefined,
        allowPublicKeyRetrieval: false,
        multipleStatements: false,
        connectTimeout: undefined
      }
    })
  })

  it("has its defaults, and drops white space around the whole", () => {
    expect(right(" mysql://u@h/d\n")).toMatchObject({ port: 3306, password: "", options: { charset: "utf8mb4" } })
  })

  it.each([
    "mysql",
    "mariadb",
    "MySQL",
    "mysql+aiomysql",
    "mysql+asyncmy",
    "mysql+pymysql",
    "mariadb+aiomysql",
    "mariadb+asyncmy",
    "mariadb+pymysql"
  ])("takes the scheme %s", (scheme) => {
    expect(right(`${scheme}://u:p@h/d`)).toEqual(right("mysql://u:p@h/d"))
  })

  it.each(["postgres", "mysql+mysqldb", "mysqlx", "http", "mysql+aiomysql+x"])("refuses the scheme %s", (scheme) => {
    const [problem = "", ...more] = left(`${scheme}://u:p@h/d`)
    expect(more).toEqual([])
    expect(problem).toContain(`${scheme}://`)
    expect(problem).toContain("mysql+aiomysql://")
  })

  it.each<readonly [string, Partial<ReturnType<typeof right>>]>([
    ["mysql://u%40s:p%40%3A%2F%23%3F%25%2B@h/d%2Fe", { user: "u@s", password: "p@:/#?%+", database: "d/e" }],
    ["mysql://u+v:p+q@h/d+e", { user: "u+v", password: "p+q", database: "d+e" }],
    ["mysql://u:p%20q%C3%A4@h/d", { password: "p qä" }],
    ["mysql://u:p@ss@h/d", { password: "p@ss", host: "h" }],
    ["mysql://u:p@s@s@h:1/d", { password: "p@s@s", host: "h", port: 1 }],
    ["mysql://u@srv:pw@h/d", { user: "u@srv", password: "pw" }],
    ["mysql://u:a:b@h/d", { password: "a:b" }],
    ["mysql://u:a/b@h/d", { password: "a/b" }],
    ["mysql://u:a#b@h/d", { password: "a#b" }],
    ["mysql://u:a?b@h/d", { password: "a?b" }],
    ["mysql://u:a?b=c&d@h/d", { password: "a?b=c&d" }],
    ["mysql://u:a@b/c@h/d", { password: "a@b/c", host: "h" }],
    ["mysql://u:a@b?c@h/d?charset=utf8", { password: "a@b?c", host: "h" }],
    ["mysql://u:@h/d", { password: "" }],
    ["mysql://u:p@[::1]/d", { host: "::1", port: 3306 }],
    ["mysql://u:p@[2001:db8::7]:3307/d", { host: "2001:db8::7", port: 3307 }],
    ["mysql://u:p@[fe80::1%25eth0]/d", { host: "fe80::1%eth0" }],
    ["mysql://u:p@10.0.0.1/d", { host: "10.0.0.1" }],
    ["mysql://u:p@main_db-1/d", { host: "main_db-1" }],
    ["mysql://u:p@h/d?", { database: "d" }],
    ["mysql://u:p@/d?unix_socket=/run/my/s.sock", { password: "p", host: "localhost", port: 3306, database: "d" }],
    ["mysql://u@localhost/d?dates=string&socket=/run/s", { user: "u", password: "", host: "localhost" }],
    ["mysql://u:a@b@/d?socket=/run/s", { password: "a@b", host: "localhost" }],
    ["mysql://u:a,b@h/d", { password: "a,b", host: "h" }]
  ])("%s", (url, parts) => {
    expect(right(url)).toMatchObject(parts)
  })

  it.each([
    ["", ["scheme"]],
    ["localhost", ["scheme"]],
    ["\"mysql://u:p@h/d\"", ["quotation marks"]],
    ["mysql://", ["user", "host", "database"]],
    ["mysql://h", ["user", "database"]],
    ["mysql://u:p@/d", ["host"]],
    ["mysql://u:p@h", ["database"]],
    ["mysql://u:p@h/", ["database"]],
    ["mysql://:p@h/d", ["user"]],
    ["mysql://u:p@h:0/d", ["port"]],
    ["mysql://u:p@h:65536/d", ["port"]],
    ["mysql://u:p@h:x/d", ["port"]],
    ["mysql://u:p@h:/d", ["port"]],
    ["mysql://u:p@::1/d", ["brackets"]],
    ["mysql://u:p@[::g]/d", ["host"]],
    ["mysql://u:p@h!/d", ["host"]],
    ["mysql://u:p@h/d/e", ["database"]],
    ["mysql://u:p@h/d#e", ["database"]],
    ["mysql://u%:p%zz@h/d%ff", ["user", "password", "database"]],
    ["postgres://u:p@h:x/?ssl-mode=maybe&foo=1", ["scheme", "port", "database", "ssl-mode", "an option is not known"]],
    ["mysql://u:a@b/c?d=@h/d", ["more than one way"]],
    ["mysql://u:p@h1,h2/d", ["several hosts; give one"]],
    ["mysql://u:p@h1:3306,h2:3307/d", ["several hosts"]],
    ["mysql://u:p@h1,h2:3306/d?ssl-mode=REQUIRED", ["several hosts"]],
    ["mysql://u:p@10.0.0.1:3306,[::1]:3306/d", ["several hosts"]],
    ["mysql://u:p@h1,/d", ["host"]],
    ["mysql://u:p@h/d?socket=/run/s", ["names a socket of this machine"]]
  ])("the problems of %s are of %s", (url, words) => {
    const problems = left(url)
    for (const word of words) expect(problems.filter((problem) => problem.includes(word))).not.toEqual([])
    expect(problems).toHaveLength(words.length)
  })

  it("says apart what is wrong and what to do", () => {
    const shape = "write it as mysql://user:password@host:3306/database"
    expect(findings("localhost")).toEqual([{ detail: "does not begin with a scheme", hint: shape }])
    expect(findings("mysql://u:p@/d")).toEqual([{ detail: "the host is missing", hint: shape }])
    expect(findings("postgres://u:p@h/d")).toEqual([{
      detail: "the scheme postgres:// is not that of a MySQL database",
      hint: expect.stringContaining("use one of mysql://, mysql+aiomysql://")
    }])
    expect(findings("mysql://u%:p@h/d")).toEqual([{
      detail: "the user has a '%' that does not begin a valid percent-escape of UTF-8 text",
      hint: "write '%' itself as %25"
    }])
  })

  it("an encoded URL gives back its parts, and needs no second try", () => {
    const name = FastCheck.string({ minLength: 1 }).filter((text) => text.trim() === text)
    FastCheck.assert(
      FastCheck.property(name, FastCheck.fullUnicodeString(), name, (user, password, database) => {
        const url = `mysql://${encodeURIComponent(user)}:${encodeURIComponent(password)}@h/${
          encodeURIComponent(database)
        }`
        expect(right(url)).toMatchObject({ user, password, database, host: "h" })
      })
    )
  })

  it("an unencoded password gives itself back, or a problem: never another host", () => {
    const password = FastCheck.stringOf(FastCheck.constantFrom("a", "@", ":", "/", "#", "?", "=", "&", "+", "[", "]"))
    FastCheck.assert(
      FastCheck.property(password, (text) => {
        const result = read(`mysql://u:${text}@host:3306/main?charset=utf8`)
        if (Either.isRight(result)) {
          expect(result.right).toMatchObject({ password: text, host: "host", database: "main" })
        } else expect(result.left.map(textOf).join()).toContain("percent-encode")
      }),
      { numRuns: 1000 }
    )
  })

  it("no problem quotes the password or a piece of it", () => {
    const noise = FastCheck.stringOf(FastCheck.constantFrom("@", ":", "/", "#", "?", "=", "&", "%", "x", "[", " "), {
      maxLength: 4
    })
    const form = FastCheck.constantFrom<(password: string) => string>(
      (password) => `mysql://u:${password}@h/d`,
      (password) => `mysql://u:${password}@h`,
      (password) => `mysql://u:${password}@`,
      (password) => `mysql://u:${password}`,
      (password) => `mysql://${password}`,
      (password) => `mysql:/u:${password}@h/d`,
      (password) => `u:${password}@h/d`,
      (password) => `mysql//u:${password}@h:x/d`,
      (password) => `oracle://u:${password}@h:x/`,
      (password) => `mysql://u:${password}@h/d?nope=1&nope=2`,
      (password) => `mysql://u:${password}@h:99999999/d?charset=x`
    )
    FastCheck.assert(
      FastCheck.property(form, noise, noise, (write, before, after) => {
        const result = parse(write(`${before}S3CR3T${after}`))
        const shown = Either.isLeft(result) ? result.left.map(textOf).join("\n") : String(result.right.password)
        expect(shown).not.toContain("S3CR3T")
      }),
      { numRuns: 2000 }
    )
  })
})

describe("options", () => {
  it.each([
    ["bigint=BigInt", { bigint: "bigint" }],
    ["charset=UTF8MB4", { charset: "utf8mb4" }],
    ["charset=utf8mb3", { charset: "utf8" }],
    ["charset=utf8mb4_unicode_ci", { charset: "utf8mb4_unicode_ci" }],
    ["Charset=latin1&CHARSET=latin1", { charset: "latin1" }],
    ["ssl-mode=required", { sslMode: "REQUIRED" }],
    ["ssl_mode=VERIFY-IDENTITY", { sslMode: "VERIFY_IDENTITY" }],
    ["ssl_ca=/etc/ssl/my%20ca.pem", { sslCa: "/etc/ssl/my ca.pem", sslMode: "VERIFY_CA" }],
    ["ssl_cert=/c.pem&ssl_key=/k.pem", { sslCert: "/c.pem", sslKey: "/k.pem", sslMode: "VERIFY_CA" }],
    ["ssl-cert=/c.pem&ssl-key=/k.pem&ssl-mode=REQUIRED", { sslCert: "/c.pem", sslMode: "REQUIRED" }],
    ["allow_public_key_retrieval=true", { allowPublicKeyRetrieval: true }],
    ["ssl-ca=/a.pem&ssl-mode=VERIFY_IDENTITY", { sslCa: "/a.pem", sslMode: "VERIFY_IDENTITY" }],
    ["timezone=Z", { timezone: "+00:00" }],
    ["time_zone=utc", { timezone: "+00:00" }],
    ["timezone=+02:00", { timezone: "+02:00" }],
    ["timezone=%2B02:00", { timezone: "+02:00" }],
    ["timezone=-5:30", { timezone: "-05:30" }],
    ["timezone=-00:00", { timezone: "+00:00" }],
    ["timezone=+14:00", { timezone: "+14:00" }],
    ["dates=string", { dates: "string" }],
    ["dates=Date", { dates: "date" }],
    ["multiple-statements=True", { multipleStatements: true }],
    ["multiple_statements=0", { multipleStatements: false }],
    ["connect_timeout=2.5", { connectTimeout: 2500 }],
    ["autocommit=true", {}],
    ["&charset=ascii&", { charset: "ascii" }]
  ])("%s", (text, expected) => {
    expect(option(text)).toMatchObject(expected)
  })

  it.each([
    ["bigint=long", "number, string, bigint, auto"],
    ["charset=klingon", "utf8mb4"],
    ["charset=utf16", "not accept from a client"],
    ["charset", "\"\""],
    ["ssl-mode=PREFERRED", "unencrypted"],
    ["ssl-mode=yes", "VERIFY_CA"],
    ["ssl-ca=", "path of a PEM file"],
    ["ssl-ca=/a.pem&ssl-mode=REQUIRED", "would not check"],
    ["ssl-ca=/a.pem&ssl-mode=DISABLED", "would not check"],
    ["timezone=local", "differs from machine to machine"],
    ["timezone=Europe/Berlin", "offset"],
    ["timezone=+14:01", "offset"],
    ["timezone=-14:00", "offset"],
    ["timezone=+02:60", "offset"],
    ["dates=iso", "date, string"],
    ["multiple-statements=perhaps", "true or false"],
    ["connect-timeout=0", "above 0"],
    ["connect-timeout=-1", "above 0"],
    ["connect-timeout=5s", "seconds"],
    ["connect-timeout=1e9", "seconds"],
    ["autocommit=false", "withTransaction"],
    ["charset=utf8%", "percent-escape"],
    ["charset=utf8&charset=latin1", "twice"],
    ["ssl_mode=REQUIRED&ssl-mode=DISABLED", "twice"],
    ["frob=1", "frob is not known; use one of charset, timezone"],
    ["__proto__=1", "not known"],
    ["constructor=1", "not known"],
    ["unix_socket=/tmp/s", "the host is not localhost"],
    ["socket=run/mysqld.sock", "absolute path"],
    [`socket=/${"x".repeat(107)}`, "107 bytes"],
    ["allowPublicKeyRetrieval=true", "use allow-public-key-retrieval"],
    ["allow-public-key-retrieval=perhaps", "true or false"],
    ["init_command=x", "on the server"],
    ["sql_mode=x", "on the server"],
    ["local_infile=1", "LOAD DATA LOCAL"],
    ["read_timeout=5", "timeout"],
    ["ssl_cert=/c", "ssl-cert is given alone"],
    ["ssl-key=/k", "ssl-key is given alone"],
    ["ssl-cert=", "path of a PEM file"],
    ["ssl-cert=/c&ssl-key=/k&ssl-mode=DISABLED", "would not show"],
    ["ssl_capath=/c", "use ssl-mode, ssl-ca, ssl-cert and ssl-key only"],
    ["ssl=true", "ssl-mode"],
    ["pool_size=5", "settings of their own"]
  ])("%s is refused: %s", (text, words) => {
    expect(optionProblems(text)).toContain(words)
  })

  it("says apart what is wrong and what to do", () => {
    expect(optionFindings("ssl=1")).toEqual([{
      detail: "the option ssl is not known",
      hint: expect.stringContaining("use ssl-mode=REQUIRED, VERIFY_CA or VERIFY_IDENTITY")
    }])
    expect(optionFindings("charset=utf16")).toEqual([
      { detail: "the option charset is utf16, which MySQL does not accept from a client", hint: "use utf8mb4" }
    ])
    expect(optionFindings("multiple-statements=perhaps")).toEqual([
      { detail: "the option multiple-statements must be true or false, not \"perhaps\"" }
    ])
  })

  it("lists every problem", () => {
    expect(left("mysql://u:p@h/d?charset=x&dates=y&foo=1&bar=2")).toHaveLength(4)
  })

  it("compares certificates with names only", () => {
    expect(left("mysql://u:p@10.0.0.1/d?ssl-mode=VERIFY_IDENTITY").join()).toContain("VERIFY_CA")
    expect(right("mysql://u:p@10.0.0.1/d?ssl-mode=VERIFY_CA").options.sslMode).toBe("VERIFY_CA")
  })
})
