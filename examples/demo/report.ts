/** What the demo prints while it works, and the table at its end. */
import { Console, Context, Data, Duration, Effect, Ref } from "effect"

export interface Outcome {
  readonly result: string
  /** More about it, for the lines below the result. */
  readonly detail?: string
  readonly url?: string
}

export interface Row extends Outcome {
  readonly what: string
  readonly time: Duration.Duration
}

/** The rows so far. */
export class Report extends Context.Tag("demo/Report")<Report, Ref.Ref<ReadonlyArray<Row>>>() {}

/** Something is not as it should be: the demo has failed. */
export class Unexpected extends Data.TaggedError("Unexpected")<{ readonly message: string }> {}

export const verify = (condition: boolean, otherwise: string): Effect.Effect<void, Unexpected> =>
  condition ? Effect.void : new Unexpected({ message: otherwise })

/** Does one thing, measures how long it takes, and adds a row to the report. */
export const row = <A, E, R>(
  what: string,
  work: Effect.Effect<A, E, R>,
  describe: (done: A) => Outcome
): Effect.Effect<A, E, R | Report> =>
  Effect.gen(function*() {
    const [time, done] = yield* Effect.timed(work)
    const added: Row = { what, time, ...describe(done) }
    yield* Effect.flatMap(Report, Ref.update((rows) => [...rows, added]))
    const detail = added.detail === undefined ? "" : `\n${dim(added.detail.replace(/^/gm, "      "))}`
    yield* Console.log(`${erase}  ${green("✓")} ${what}: ${added.result}${detail}`)
    return done
  })

/** A line that overwrites itself while a file goes up; only on a terminal. */
export const progress = (what: string, done: number, total: number): Effect.Effect<void> =>
  Effect.sync(() => {
    if (!isTerminal) return
    const filled = Math.round((done / total) * 24)
    const bar = "█".repeat(filled) + "░".repeat(24 - filled)
    process.stdout.write(`${erase}  ${bar} ${what}: ${size(done)} of ${size(total)}`)
  })

export const heading = (text: string): Effect.Effect<void> => Console.log(`\n${bold(text)}`)

/** All rows: what was done, result, time. URLs are on lines of their own, so that they can be copied. */
export const table: Effect.Effect<void, never, Report> = Effect.gen(function*() {
  const rows = yield* Effect.flatMap(Report, Ref.get)
  const widths = {
    what: widest(rows.map(({ what }) => what)),
    result: widest(rows.map(({ result }) => result)),
    time: widest(rows.map(({ time }) => milliseconds(time)))
  }
  const line = (what: string, result: string, time: string) =>
    `${what.padEnd(widths.what)}  ${result.padEnd(widths.result)}  ${time.padStart(widths.time)}`
  const rule = "─".repeat(widths.what + widths.result + widths.time + 4)
  yield* heading("What happened")
  yield* Console.log(dim(rule))
  for (const { result, time, url, what } of rows) {
    yield* Console.log(line(what, result, milliseconds(time)))
    if (url !== undefined) yield* Console.log(`${" ".repeat(widths.what)}  ${dim(url)}`)
  }
  yield* Console.log(dim(rule))
  const total = rows.reduce((sum, { time }) => Duration.sum(sum, time), Duration.zero)
  yield* Console.log(line(`${rows.length} checks`, "all passed", milliseconds(total)))
})

export const size = (bytes: number): string =>
  bytes < 1024
    ? `${bytes} B`
    : bytes < 1024 * 1024
    ? `${(bytes / 1024).toFixed(1)} KiB`
    : `${(bytes / 1024 / 1024).toFixed(1)} MiB`

const milliseconds = (time: Duration.Duration): string => `${Math.round(Duration.toMillis(time))} ms`

const widest = (texts: ReadonlyArray<string>): number => Math.max(...texts.map((text) => text.length))

const isTerminal = process.stdout.isTTY === true
const erase = isTerminal ? "\r\x1b[2K" : ""

const style = (code: number) => (text: string): string =>
  isTerminal && process.env["NO_COLOR"] === undefined ? `\x1b[${code}m${text}\x1b[0m` : text
const bold = style(1)
const dim = style(2)
const green = style(32)
