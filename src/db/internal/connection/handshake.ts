/** Logs in to the server, with handshakes that are always finished where that is possible. */
import type { DriverConnection } from "../borrowed/mysql2Connection.ts"
import { HANDSHAKE } from "../deadlines.ts"
import type { Settings } from "../settings/settings.ts"
import { schedule } from "../waiting/schedule.ts"
import { connectionLost } from "./failures.ts"
import type { Login } from "./login.ts"
import { cut, open } from "./mysql2.ts"

/** How often a server that makes progress gets more time. */
const MAX_EXTENSIONS = 2

/**
 * Connects to `address`, or else to the host of the settings, and logs in. One of the callbacks is called, unless the
 * function returned gives up first.
 *
 * An attempt that was given up goes on, to its COM_QUIT: the server counts handshakes that break off, and after
 * `max_connect_errors` of them (100) it refuses the whole host. A server that says nothing meanwhile is cut off.
 */
export const logIn = (
  settings: Settings,
  login: Login,
  address: string | undefined,
  onLogin: (driver: DriverConnection) => void,
  onFailure: (cause: unknown) => void
): () => void => {
  const driver = open(settings, login, address)
  let wanted = true
  let over = false
  let cancelCut = (): void => {}
  const fail = (cause: unknown): void => {
    if (over) return
    over = true
    cancelCut()
    cut(driver)
    if (wanted) onFailure(cause)
  }
  driver.on("error", fail)
  // A last error of the server may still be in the buffer.
  driver.once("end", () => setImmediate(() => fail(connectionLost())))
  driver.once("connect", () => {
    if (over) return
    over = true
    if (wanted) return onLogin(driver)
    driver.stream.once("close", () => cancelCut())
    driver.end()
  })
  const finishWithin = (extensions: number): void => {
    const { stream } = driver
    const { bytesRead } = stream
    cancelCut = schedule(HANDSHAKE, () => {
      // TLS is another stream.
      const progress = driver.stream !== stream || stream.bytesRead !== bytesRead
      if (progress && extensions > 0) return finishWithin(extensions - 1)
      over = true
      cut(driver)
    })
  }
  return () => {
    if (over || !wanted) return
    wanted = false
    finishWithin(MAX_EXTENSIONS)
  }
}
