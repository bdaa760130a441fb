/** Measures several ways of doing the same work, in turn, in one process: rounds of A B C A B C …, medians and ratios. */
import * as Effect from "effect/Effect"

/** One way of doing the work. `run` does it `count` times. */
export interface Contender {
  readonly name: string
  readonly run: (count: number) => Promise<void>
}

export interface Row {
  readonly work: string
  /** The first contender is the one that the others are compared with. */
  readonly contenders: ReadonlyArray<Contender>
  readonly count: number
  readonly rounds?: number
}

interface Sample {
  readonly cpuMicros: number
  readonly userMicros: number
  readonly perSecond: number
}

/** CPU of this process (user and system, and user alone) per operation, and operations per second; servers are other processes or counted in both. */
const measure = async (contender: Contender, count: number): Promise<Sample> => {
  const cpu = process.cpuUsage()
  const start = performance.now()
  await contender.run(count)
  const elapsed = performance.now() - start
  const { system, user } = process.cpuUsage(cpu)
  return { cpuMicros: (user + system) / count, userMicros: user / count, perSecond: count / elapsed * 1000 }
}

export const compare = async ({ contenders, count, rounds = 9, work }: Row): Promise<void> => {
  for (const contender of contenders) await contender.run(Math.ceil(count / 2))
  const samples = new Map<string, Array<Sample>>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) samples.get(contender.name)!.push(await measure(contender, count))
  }
  const base = samples.get(contenders[0]!.name)!
  console.log(`\n${work} (${count} × ${rounds} rounds)`)
  console.log(columns("", "CPU µs/op", "ratio", "spread", "of user", "op/s", "ratio", "spread"))
  for (const { name } of contenders) {
    const own = samples.get(name)!
    const cpu = spread(own.map((sample, i) => sample.cpuMicros / base[i]!.cpuMicros))
    const user = spread(own.map((sample, i) => sample.userMicros / base[i]!.userMicros))
    const speed = spread(own.map((sample, i) => sample.perSecond / base[i]!.perSecond))
    console.log(columns(
      name,
      median(own.map((sample) => sample.cpuMicros)).toFixed(1),
      cpu.median,
      cpu.range,
      user.median,
      median(own.map((sample) => sample.perSecond)).toFixed(0),
      speed.median,
      speed.range
    ))
  }
}

/** Runs `count` effects on `fibers` fibers, with nothing between one and the next: `repeatN` would yield each time. */
export const onFibers = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  count: number,
  fibers: number
): Effect.Effect<void, E, R> =>
  Effect.forEach(
    Array.from({ length: fibers }),
    () => {
      let left = Math.ceil(count / fibers)
      return Effect.whileLoop({ while: () => left-- > 0, body: () => effect, step: () => {} })
    },
    { concurrency: "unbounded", discard: true }
  )

/** The same for promises. */
export const onLoops = async (task: () => Promise<unknown>, count: number, loops: number): Promise<void> => {
  await Promise.all(
    Array.from({ length: loops }, async () => {
      for (let i = 0; i < Math.ceil(count / loops); i++) await task()
    })
  )
}

/** The same for work that takes a callback, without a promise in the way. */
export const onCallbacks = (
  task: (done: (error: Error | null) => void) => void,
  count: number,
  loops: number
): Promise<void> =>
  new Promise((resolve, reject) => {
    let running = loops
    for (let i = 0; i < loops; i++) {
      let left = Math.ceil(count / loops)
      const next = (error: Error | null): void => {
        if (error !== null) reject(error)
        else if (left-- > 0) task(next)
        else if (--running === 0) resolve()
      }
      next(null)
    }
  })

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

const spread = (ratios: ReadonlyArray<number>): { readonly median: string; readonly range: string } => ({
  median: median(ratios).toFixed(2),
  range: `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`
})

const columns = (name: string, ...cells: ReadonlyArray<string>): string =>
  name.padEnd(34) + cells.map((cell) => cell.padStart(12)).join("")
