/** The limits of SQS (developer guide, "Amazon SQS message quotas" and "Exactly-once processing"). */

/** The most entries in one request of SendMessageBatch, DeleteMessageBatch and ChangeMessageVisibilityBatch. */
export const BATCH = 10

/** The largest message, and the largest batch, attributes included, in bytes. */
export const MAX_SIZE = 1_048_576

/** The most attributes of a message. */
export const MAX_ATTRIBUTES = 10

/** How long a message can be kept invisible in all, from its receive on, in seconds. */
export const MAX_VISIBILITY = 12 * 60 * 60

/** How long a FIFO queue remembers a deduplication id, in milliseconds. */
export const DEDUPLICATION_WINDOW = 5 * 60 * 1000
