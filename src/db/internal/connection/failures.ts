/** The errors of a connection that no server has sent, with the codes that `errors/errorTable.ts` knows them by. */

/** What is wrong with a connection that was closed, by whichever side. */
export const connectionLost = (): Error =>
  Object.assign(new Error("The connection was closed"), { code: "PROTOCOL_CONNECTION_LOST" })

export const garbled = (): Error =>
  Object.assign(new Error("The server's reply makes no sense"), { code: "PROTOCOL_MALFORMED_REPLY" })

export const interrupted = (): Error =>
  Object.assign(new Error("Query execution was interrupted"), { errno: 1317, sqlState: "70100" })

export const connectTimeout = (after: number): Error =>
  Object.assign(new Error(`The connection was not ready within ${after} ms`), { code: "CONNECT_TIMEOUT" })

export const tooLarge = (size: number, limit: number): Error =>
  Object.assign(new Error(`the statement needs a packet of ${size} bytes, and the server takes less than ${limit}`), {
    code: "REQUEST_TOO_LARGE"
  })
