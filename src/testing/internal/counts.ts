/** The numbers in plans of faults. */

/** What a fault of a plan has not done that it should have; empty if it has done all. `Infinity` means at least once. */
export const unmet = (name: string, happened: number, times: number): ReadonlyArray<string> => {
  if (happened === 0) return [`${name} did not happen`]
  return times === Infinity || happened >= times ? [] : [`${name} happened only ${happened} of ${times} times`]
}

export const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0
