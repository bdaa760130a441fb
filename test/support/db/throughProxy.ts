/** What is different where TEST_PROXY puts a proxy in front of the server. */

const proxy = process.env["TEST_PROXY"] ?? ""

/**
 * Whether statements may be prepared. MySQL Router 9.7 ends the connection when a prepared statement fails where a row is
 * expected, as one that is killed does.
 */
export const prepares = !proxy.startsWith("router")

/** The values of `preparedStatements` to test with. */
export const protocols: ReadonlyArray<boolean> = prepares ? [true, false] : [false]
