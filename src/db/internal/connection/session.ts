/**
 * The session of a connection: what is read of it when it is new, and what is set, then and after each reset, so that
 * every borrower finds the same one.
 *
 * Servers get as few statements as possible. Proxies (`preparedStatements: false`) get those that they understand: ProxySQL
 * gives a client a server of its own after a text with `@@`, and after a SET that it cannot read.
 */
import { collationOf } from "../borrowed/charsets.ts"
import type { Settings } from "../settings/settings.ts"

/** Sends one statement; `done` gets its rows, or the error. */
export type Send = (sql: string, done: (error: unknown, rows: unknown) => void) => void

export interface Session {
  /**
   * Which server this is. Undefined if that is not known, or if a proxy numbers sessions itself: then the thread id of the
   * connection may be that of somebody else's session on the server.
   */
  readonly server: string | undefined
  /** The server refuses packets of this size and above, in bytes. */
  readonly maxPacket: number
  /** What SET ROLE takes for the roles that were active after the login. Undefined where the server has no roles. */
  readonly role: string | undefined
  /** COMMIT and ROLLBACK would begin the next transaction, or close the connection. */
  readonly chains: boolean
}

/** Reads the session of a new connection. `threadId`: as the greeting gave it. */
export const read = (
  settings: Settings,
  threadId: number,
  send: Send,
  done: (error: unknown, session: Session | undefined) => void
): void => {
  collect(settings.preparedStatements ? ofServer : ofProxy, send, {}, (error, facts) => {
    if (error !== null) return done(error, undefined)
    const { completion_type, connection_id, hostname, max_allowed_packet, port, server_id, server_uuid } = facts
    done(null, {
      server: Number(connection_id) === threadId && hostname !== undefined && server_id !== undefined
        ? `${hostname}:${port}/${server_id}/${server_uuid}`
        : undefined,
      maxPacket: Number(max_allowed_packet ?? Infinity),
      role: roleOf(facts),
      chains: completion_type !== undefined && completion_type !== "NO_CHAIN"
    })
  })
}

/** Sets a session up that is new, or was reset. */
export const setUp = (settings: Settings, session: Session, send: Send, done: (error: unknown) => void): void =>
  sendAll(statements(settings, session), send, done)

/** Gives a session back what its reset leaves as it was: the roles and the default database of its login. */
export const restore = (settings: Settings, session: Session, send: Send, done: (error: unknown) => void): void =>
  collect([state], send, {}, (error, facts) => {
    if (error !== null) return done(error)
    sendAll(
      [
        ...(roleOf(facts) === session.role ? [] : [`SET ROLE ${session.role}`]),
        ...(facts["db"] === settings.database ? [] : [`USE \`${settings.database.replaceAll("`", "``")}\``])
      ],
      send,
      done
    )
  })

// In a comment of this form, a server older than the version sees nothing; MariaDB alone reads those with an M.
const role = "/*!80000 , CURRENT_ROLE() AS role */ /*M! , CURRENT_ROLE() AS role */"
const state = `SELECT DATABASE() AS db ${role}`

const variables = ["completion_type", "hostname", "max_allowed_packet", "port", "server_id"]

const ofServer = [
  `SELECT CONNECTION_ID() AS connection_id, ${variables.map((name) => `@@${name} AS ${name}`).join(", ")} ${role}`
  + " /*!50700 , @@server_uuid AS server_uuid */"
]

const ofProxy = [
  `SHOW VARIABLES WHERE Variable_name IN (${[...variables, "server_uuid"].map((name) => `'${name}'`).join(", ")})`,
  "SELECT CONNECTION_ID() AS connection_id",
  state
]

const statements = (settings: Settings, { chains }: Session): ReadonlyArray<string> => {
  const { charset, isolationLevel, preparedStatements, timezone } = settings
  const collation = collationOf(charset)
  const assignments = [
    // Also for a new session: the server ignores a collation that it does not know when the driver logs in with it.
    collation === undefined ? `NAMES ${charset}` : `NAMES ${collation.split("_", 1)[0]} COLLATE ${collation}`,
    "autocommit = 1",
    `time_zone = '${timezone}'`,
    ...(chains || preparedStatements ? ["completion_type = 'NO_CHAIN'"] : [])
  ]
  return [
    ...(preparedStatements ? [`SET ${assignments.join(", ")}`] : assignments.map((assignment) => `SET ${assignment}`)),
    `SET SESSION TRANSACTION ISOLATION LEVEL ${isolationLevel}`
  ]
}

type Facts = Readonly<Record<string, string | null | undefined>>

/** The columns of all the rows, or for SHOW VARIABLES the variables. */
const collect = (
  texts: ReadonlyArray<string>,
  send: Send,
  facts: Facts,
  done: (error: unknown, facts: Facts) => void
): void => {
  const [text, ...rest] = texts
  if (text === undefined) return done(null, facts)
  send(text, (error, rows) => {
    if (error !== null) return done(error, facts)
    const found = (rows as ReadonlyArray<Readonly<Record<string, any>>>).map((row) =>
      "Variable_name" in row ? { [row["Variable_name"]]: row["Value"] } : row
    )
    collect(rest, send, Object.assign({}, facts, ...found), done)
  })
}

const sendAll = (texts: ReadonlyArray<string>, send: Send, done: (error: unknown) => void): void => {
  const [text, ...rest] = texts
  if (text === undefined) return done(null)
  send(text, (error) => error === null ? sendAll(rest, send, done) : done(error))
}

/** MySQL gives a list of quoted names or NONE, MariaDB one name or NULL. */
const roleOf = ({ role }: Facts): string | undefined =>
  role === null ? "NONE" : role === undefined || role === "NONE" || /^[`"]/.test(role) ? role : `\`${role}\``
