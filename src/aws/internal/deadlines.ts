/** Every time limit of the AWS wing, in milliseconds. */

/** How long the SDK's clients wait for a connection. Then the attempt fails. */
export const CONNECT = 10_000

/** How long a socket of the SDK's clients may be silent while a reply is awaited. Then the attempt fails. */
export const READ = 30_000

/**
 * How long removing the parts of a failed upload may take. An upload that is interrupted while it begins also waits this
 * long for the id that the removal needs.
 */
export const CLEAN_UP = 10_000

/** How long an aborted call may take to release its socket. It takes milliseconds; this only bounds a fault. */
export const RELEASE = 5_000
