/**
 * Timers of any length that notice when the process itself was late. While JavaScript is busy, answers wait in the
 * sockets: a deadline that did not look there first would take healthy connections for dead ones.
 */

/** The longest delay of `setTimeout`, in milliseconds (24.8 days). It takes a longer one for 1 ms. */
const LONGEST = 2 ** 31 - 1

/** A timer that fires this much too late (milliseconds) shows that the event loop was blocked. */
const LATE = 50

/** What a late timer adds to its delay (milliseconds, but never more than the delay), in which answers can still come. */
const GRACE = 200

/** How often that is added. So in a process that is always busy a deadline still comes. */
const GRACES = 10

/**
 * Runs the task after the delay (milliseconds), unless the function returned is called first. Where the event loop was
 * blocked meanwhile the task runs later; in any case only after what the sockets hold by then has been read.
 */
export const schedule = (delay: number, task: () => void): () => void => {
  let timer: NodeJS.Timeout | undefined
  let reading: NodeJS.Immediate | undefined
  const wait = (left: number, graces: number): void => {
    const due = performance.now() + Math.min(left, LONGEST)
    timer = setTimeout(() => {
      if (left > LONGEST) return wait(left - LONGEST, graces)
      if (graces > 0 && performance.now() - due > LATE) return wait(Math.min(GRACE, delay), graces - 1)
      // Immediates run after the sockets of their turn; the second one after the answers to what the first turn sent.
      reading = setImmediate(() => {
        reading = setImmediate(task)
      })
    }, Math.min(left, LONGEST))
  }
  wait(delay, GRACES)
  return () => {
    clearTimeout(timer)
    clearImmediate(reading)
  }
}
