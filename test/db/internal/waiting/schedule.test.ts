import { once } from "node:events"
import { connect } from "node:net"
import { Worker } from "node:worker_threads"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { schedule } from "../../../../src/db/internal/waiting/schedule.ts"

/** Keeps the event loop of this process busy. */
const block = (millis: number): void => {
  const end = performance.now() + millis
  while (performance.now() < end);
}

/** A server in a thread of its own, which answers each byte after 20 ms, however busy this thread is. */
const echo = `
  const { parentPort } = require("node:worker_threads")
  const server = require("node:net").createServer((socket) => {
    socket.setNoDelay(true)
    socket.on("data", (data) => setTimeout(() => socket.write(data), 20))
    socket.on("error", () => {})
  })
  server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port))
`

describe("schedule", () => {
  let worker: Worker
  let port: number

  beforeAll(async () => {
    worker = new Worker(echo, { eval: true })
    ;[port] = await once(worker, "message") as [number]
  })

  afterAll(() => worker.terminate())

  /** What comes first: the last of `steps` answers, each of which sends the next question, or the deadline. */
  const race = async (
    deadline: number,
    steps: number,
    meanwhile: (send: () => void) => void
  ): Promise<string> => {
    const socket = connect(port, "127.0.0.1").setNoDelay(true)
    await once(socket, "connect")
    const first = await new Promise<string>((resolve) => {
      const cancel = schedule(deadline, () => resolve("deadline"))
      let left = steps
      socket.on("data", () => {
        if (--left > 0) return void socket.write("?")
        cancel()
        resolve("answer")
      })
      meanwhile(() => void socket.write("?"))
    })
    socket.destroy()
    return first
  }

  it("an answer that came while the loop was blocked beyond the deadline comes first", async () => {
    const first = await race(200, 1, (send) => {
      send()
      block(400)
    })
    expect(first).toBe("answer")
  })

  it("an exchange of several steps may go on after the block", async () => {
    const first = await race(200, 4, (send) => {
      send()
      block(400)
    })
    expect(first).toBe("answer")
  })

  it("an answer is read first even where the timer was hardly late", async () => {
    // The answer comes while this blocks. So does the end of the deadline, not late enough to be noticed.
    const first = await race(200, 1, (send) => {
      setTimeout(() => {
        send()
        setImmediate(() => block(50))
      }, 175)
    })
    expect(first).toBe("answer")
  })

  it("without an answer the deadline comes, once, in a process that is always busy too", async () => {
    let runs = 0
    const busy = setInterval(() => block(90), 1)
    const began = performance.now()
    await new Promise<void>((resolve) => {
      schedule(100, () => {
        runs++
        resolve()
      })
    })
    clearInterval(busy)
    expect(performance.now() - began).toBeLessThan(6_000)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(runs).toBe(1)
  })

  it("a cancelled task does not run, at whatever moment", async () => {
    let runs = 0
    const cancels = Array.from({ length: 20 }, () => schedule(20, () => runs++))
    const [first, ...others] = cancels
    first!()
    // The timers before this one have fired, and their tasks wait until the sockets have been read.
    setTimeout(() => others.forEach((cancel) => cancel()), 20)
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(runs).toBe(0)
  })

  it("a delay beyond what setTimeout can hold does not run at once", async () => {
    let runs = 0
    const cancel = schedule(2 ** 31 + 5, () => runs++)
    await new Promise((resolve) => setTimeout(resolve, 30))
    cancel()
    expect(runs).toBe(0)
  })
})
