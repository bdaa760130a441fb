/** What the SDK throws when S3 or SQS fails. Our own table says what it means, as it does in production. */

export interface Cause {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts: number }
}

const answered = (name: string, message: string, httpStatusCode: number, attempts: number): Cause => ({
  name,
  message,
  $metadata: { httpStatusCode, attempts }
})

/** After the three attempts that the SDK makes. */
const ATTEMPTS = 3

export const slowDown: Cause = answered("SlowDown", "Please reduce your request rate.", 503, ATTEMPTS)
export const throttling: Cause = answered("RequestThrottled", "Rate exceeded", 403, ATTEMPTS)
export const accessDenied: Cause = answered("AccessDenied", "Access Denied", 403, 1)
export const unavailable: Cause = answered("ServiceUnavailable", "Service is unable to handle request.", 503, ATTEMPTS)
export const noSuchKey: Cause = answered("NoSuchKey", "The specified key does not exist.", 404, 1)
export const notFound: Cause = answered("NotFound", "UnknownError", 404, 1)

export const timeout: Cause = {
  name: "TimeoutError",
  message: "Connection timed out after 30000 ms",
  $metadata: { attempts: ATTEMPTS }
}

export const reset: Cause = {
  name: "Error",
  message: "read ECONNRESET",
  code: "ECONNRESET",
  $metadata: { attempts: ATTEMPTS }
}
