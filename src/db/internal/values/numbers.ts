/** Numbers that need more than the driver's reading to be exact. */

/** Integers below it have one decimal notation in single precision. */
const EXACT_INTEGERS = 2 ** 24

/**
 * The shortest decimal number that is this one in single precision: `0.1`, where the bytes say `0.10000000149011612`.
 * `Math.fround` gives the stored number back.
 */
export const shortestSingle = (value: number): number => {
  const single = Math.fround(value)
  if (Math.abs(single) < EXACT_INTEGERS) {
    if (Number.isInteger(single)) return single
    for (let scale = 10; scale <= 1e9; scale *= 10) {
      const rounded = Math.round(single * scale) / scale
      if (Math.fround(rounded) === single) return rounded
    }
  }
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(single.toPrecision(digits))
    if (Math.fround(rounded) === single) return rounded
  }
  return Number(single.toPrecision(9))
}

const LONG_NUMBER = /\d{16}/
const JSON_TOKEN = /"(?:[^"\\]|\\[^])*"|-?\d[\d.eE+-]*/g

/** The value of a JSON text; undefined if it does not parse, or if an integer in it is beyond 2^53. */
export const parseJson = (text: string): unknown => {
  try {
    const value: unknown = JSON.parse(text)
    return LONG_NUMBER.test(text) && text.match(JSON_TOKEN)?.some(isUnsafeInteger) === true ? undefined : value
  } catch {
    return undefined
  }
}

const isUnsafeInteger = (token: string): boolean => /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token))

/** The numbers of a VECTOR, which is a row of single-precision numbers. */
export const numbersOfVector = (bytes: Buffer): ReadonlyArray<number> =>
  Array.from({ length: bytes.length >> 2 }, (_, i) => bytes.readFloatLE(i * 4))
