/** A timer of any length. */

/** The longest delay of `setTimeout`, in milliseconds (24.8 days). It takes a longer one for 1 ms. */
const LONGEST = 2 ** 31 - 1

/** Runs the task after the delay (milliseconds, finite), unless the function returned is called first. */
export const schedule = (delay: number, task: () => void): () => void => {
  let timer: NodeJS.Timeout
  const wait = (left: number): void => {
    timer = left > LONGEST ? setTimeout(() => wait(left - LONGEST), LONGEST) : setTimeout(task, left)
  }
  wait(delay)
  return () => clearTimeout(timer)
}
