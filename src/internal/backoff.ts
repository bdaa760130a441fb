/** Pauses between attempts: exponential, with jitter, so that those that failed together do not retry together. */

export interface Backoff {
  /** The longest first pause, in milliseconds. */
  readonly first: number
  /** The longest pause of all, in milliseconds. */
  readonly max: number
}

/**
 * The pause after the given number of failures (1 = the first), in milliseconds. The full pause doubles with each
 * failure; the result is between half of it and all of it. `random` is in [0, 1).
 */
export const pauseAfter = (failures: number, { first, max }: Backoff, random: number): number => {
  const full = Math.min(max, first * 2 ** (failures - 1))
  return full / 2 + random * full / 2
}
