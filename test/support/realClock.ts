/** For `layer(…)` of @effect/vitest: the clock of the machine, because the time of the servers is real. */
export const realClock = { excludeTestServices: true } as const
