/** Every time limit of the AWS wing, in milliseconds. */

/** How long the SDK's clients wait for a connection. Then the attempt fails. */
export const CONNECT = 10_000

/** How long a socket of the SDK's clients may be silent while a reply is awaited. Then the attempt fails. */
export const READ = 30_000

/** How long a call waits for what provides the credentials. */
export const CREDENTIALS = 30_000

/**
 * How long removing the parts of a failed upload may take. An upload that is interrupted while it begins also waits this
 * long for the id that the removal needs.
 */
export const CLEAN_UP = 10_000

/** How long an upload waits for the clean-up after its failure, or for the last `onProgress`. Either goes on by itself. */
export const PATIENCE = 2_000

/** How long S3 is asked what became of an upload whose reply was lost. */
export const LOOK_UP = 10_000

/** To tell the type of a file by its first bytes takes about a millisecond; it may inflate them, up to 16 MiB. */
export const DETECT_TYPE = 5_000

/** How long a source may give nothing while other uploads wait for the memory that it holds. */
export const SOURCE_IDLE = 30_000

/** How long a reader may pause while others wait for their turn to download. */
export const PAUSED = 2_000

/** How long the rest of a request that was refused is read and dropped, so that the client sees the answer. */
export const LINGER = 10_000
