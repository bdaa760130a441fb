/** Looks at something now and then, for as long as there is something to look at. */

/**
 * Returns how to begin. `look` is called every `period` milliseconds, until it says that there is nothing left. It does
 * not keep the process alive.
 */
export const watching = (period: number, look: () => boolean): () => void => {
  let timer: NodeJS.Timeout | undefined
  const tick = (): void => {
    if (look()) return
    clearInterval(timer)
    timer = undefined
  }
  return () => {
    if (timer !== undefined) return
    timer = setInterval(tick, period)
    timer.unref()
  }
}
