/** How late the event loop is, measured by a timer that should be on time. */

/** How often the timer fires, in milliseconds. */
const EVERY = 250

/** The lag that is told is the longest of this many milliseconds to twice as many. */
const WINDOW = 5_000

export interface EventLoop {
  /** Milliseconds. */
  readonly lag: () => number
  readonly stop: () => void
}

/** It does not keep the process alive. */
export const watch = (): EventLoop => {
  let due = performance.now() + EVERY
  let windowEnds = performance.now() + WINDOW
  let previous = 0
  let current = 0
  const lateNow = (): number => Math.max(0, performance.now() - due)
  const timer = setInterval(() => {
    const now = performance.now()
    current = Math.max(current, lateNow())
    due = now + EVERY
    if (now < windowEnds) return
    previous = current
    current = 0
    windowEnds = now + WINDOW
  }, EVERY)
  timer.unref()
  return {
    lag: () => Math.max(previous, current, lateNow()),
    stop: () => clearInterval(timer)
  }
}
