/** Pauses between attempts: exponential, with jitter, so that many who failed together do not come back together. */

export interface Backoff {
  /** Milliseconds, of the first pause at most. */
  readonly first: number
  /** Milliseconds; pauses grow no further. */
  readonly most: number
}

/**
 * The pause after the given number of failures (1 = the first), in milliseconds: it doubles with each failure, and is
 * between half and the whole of that. `random` is in [0, 1).
 */
export const pauseAfter = (failures: number, { first, most }: Backoff, random: number): number => {
  const full = Math.min(most, first * 2 ** (failures - 1))
  return full / 2 + random * full / 2
}
