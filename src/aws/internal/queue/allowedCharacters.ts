/** The characters that SQS accepts in a message. */

/** Whether a text holds what SQS refuses: a character outside of XML 1.0, or half of a surrogate pair. */
export const hasRefusedCharacter = (text: string): boolean =>
  /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u.test(text)
