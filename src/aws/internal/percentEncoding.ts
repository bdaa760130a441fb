/** RFC 3986: all but letters, digits and `-._~`. Signature Version 4 encodes in the same way. */
export const percentEncode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
