/** What is different where TEST_PROXY puts a proxy in front of the server. */

const proxy = process.env["TEST_PROXY"] ?? ""

/**
 * Whether statements may be prepared. MySQL Router 9.7 ends the connection when a prepared statement fails where a row is
 * expected, as one that is killed does.
 */
export const prepares = !proxy.startsWith("router")

/** The values of `preparedStatements` to test with. */
export const protocols: ReadonlyArray<boolean> = prepares ? [true, false] : [false]

/**
 * Whether users other than the server's first may log in: with connection sharing Router logs in for a client, whose
 * password it sees over TLS only, unless there is none.
 */
export const passesUsers = proxy !== "router-sharing"

/** Whether a statement can be stopped: with connection sharing a client's thread id is 0, and its connection is cut. */
export const kills = proxy !== "router-sharing"
