/** The public URLs of objects. */
import { percentEncode } from "../percentEncoding.ts"

/** @param base how they begin, without a slash at the end. */
export const publicUrl = (base: string) => (key: string): string => `${base}/${encodeKey(key)}`

/** Segment by segment. Half of a surrogate pair, which no key has, becomes U+FFFD. */
export const encodeKey = (key: string): string =>
  key.replace(/\p{Cs}/gu, "\ufffd").split("/").map(percentEncode).join("/")
