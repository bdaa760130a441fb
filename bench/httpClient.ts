/** An HTTP client in a process of its own: told `{ port, path, count, sockets }`, it answers when all requests are. */
import { Agent, get } from "node:http"

interface Order {
  readonly port: number
  readonly path: string
  readonly count: number
  readonly sockets: number
}

const agents = new Map<number, Agent>()

process.on("message", ({ count, path, port, sockets }: Order) => {
  const agent = agents.get(port) ?? new Agent({ keepAlive: true, maxSockets: sockets })
  agents.set(port, agent)
  let left = count
  let running = sockets
  const next = (): void => {
    if (left-- <= 0) {
      if (--running === 0) process.send!("done")
      return
    }
    get({ host: "127.0.0.1", port, path, agent }, (response) => {
      if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode}`)
      response.resume().on("end", next)
    })
  }
  for (let i = 0; i < sockets; i++) next()
})
process.on("disconnect", () => process.exit())
