/** The chat of examples, started and stopped as a user does in a terminal. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../..", import.meta.url))

export interface Chat {
  /** Where the page is. */
  readonly url: string
  /** Where the status page is, on the internal port. */
  readonly status: string
  /** Ctrl-C. Gives how `npm run` ended, and what was printed. */
  readonly interrupt: () => Promise<{ readonly ended: number | string | null; readonly output: string }>
}

/** MySQL takes seconds to make a data directory. */
const PATIENCE = 90_000

/** With ports 0, on free ones. */
export const startChat = async (port = 0, internalPort = 0): Promise<Chat> => {
  // Of a group of its own, which gets the signals of the terminal.
  const child = spawn("npm", ["run", "demo", "--", "--serve"], {
    cwd: root,
    detached: true,
    env: { ...process.env, CHAT_PORT: String(port), CHAT_INTERNAL_PORT: String(internalPort) },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  child.stdout.on("data", (text) => output += text)
  child.stderr.on("data", (text) => output += text)
  const ended = new Promise<number | string | null>((resolve) =>
    child.once("close", (code, signal) => resolve(code ?? signal))
  )
  const give = (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, signal)
  }
  const printed = (what: string) => new RegExp(`${what} +(http://\\S+)`).exec(output)?.[1]
  await new Promise<void>((resolve, reject) => {
    const failed = (how: string) => {
      give("SIGKILL")
      reject(new Error(`${how}:\n${output}`))
    }
    const limit = setTimeout(() => failed(`it did not start within ${PATIENCE / 1000} s`), PATIENCE)
    void ended.then((how) => failed(`it ended with ${how}`))
    child.stdout.on("data", () => {
      if (printed("Chat") === undefined || printed("Status") === undefined) return
      clearTimeout(limit)
      resolve()
    })
  })
  return {
    url: printed("Chat")!,
    status: printed("Status")!,
    interrupt: async () => {
      give("SIGINT")
      const limit = setTimeout(() => give("SIGKILL"), 30_000)
      const how = await ended
      clearTimeout(limit)
      return { ended: how, output }
    }
  }
}
