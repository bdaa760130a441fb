/** The most entries in one request of SendMessageBatch, DeleteMessageBatch and ChangeMessageVisibilityBatch. */
export const BATCH = 10
