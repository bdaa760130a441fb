/** The public URLs of objects. */

/** @param base how they begin, without a slash at the end. */
export const publicUrl = (base: string) => (key: string): string => `${base}/${encodeKey(key)}`

/**
 * RFC 3986: all but letters, digits and `-._~`, segment by segment. Half of a surrogate pair, which no key has, becomes
 * U+FFFD.
 */
export const encodeKey = (key: string): string =>
  key.replace(/\p{Cs}/gu, "\ufffd").split("/").map((segment) =>
    encodeURIComponent(segment).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
  ).join("/")
