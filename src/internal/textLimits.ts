/** The longest texts that errors and messages show, in UTF-16 code units. */

/** A statement in the `message` of a DatabaseError; its field `statement` has the whole text. */
export const STATEMENT_IN_MESSAGE = 200

/** A message of MySQL or of its driver, cleaned, in an error of ours. */
export const MYSQL_MESSAGE = 400

/** The first line of a message of the AWS SDK, cleaned, in an error of ours. */
export const AWS_MESSAGE = 500

/** The value of a setting that a problem quotes. */
export const QUOTED_VALUE = 40

/** The text, or its beginning and three dots where it is longer than the limit. */
export const truncate = (text: string, limit: number): string =>
  text.length <= limit ? text : `${text.slice(0, limit - 3)}...`
