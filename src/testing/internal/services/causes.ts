/** What the SDK throws when S3 or SQS fails. Our own table says what it means, as it does in production. */

export interface Cause {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly Code?: string
  readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts: number }
}

const answered = (name: string, message: string, httpStatusCode: number, attempts: number): Cause => ({
  name,
  message,
  $metadata: { httpStatusCode, attempts }
})

/** S3 also has the name in the body of its answer. */
const ofS3 = (name: string, message: string, httpStatusCode: number, attempts: number): Cause => ({
  ...answered(name, message, httpStatusCode, attempts),
  Code: name
})

/** The same answer to HEAD, which has no body: nothing but its status is known. */
export const withoutBody = (cause: Cause): Cause => {
  const { $metadata } = cause
  return $metadata?.httpStatusCode === undefined ? cause : {
    name: $metadata.httpStatusCode === 404 ? "NotFound" : "Unknown",
    message: "UnknownError",
    $metadata
  }
}

/** After the three attempts that the SDK makes. */
const ATTEMPTS = 3

export const slowDown: Cause = ofS3("SlowDown", "Please reduce your request rate.", 503, ATTEMPTS)
export const throttling: Cause = answered("RequestThrottled", "Rate exceeded", 400, ATTEMPTS)
export const accessDenied: Cause = answered("AccessDenied", "Access Denied", 403, 1)
export const accessDeniedByS3: Cause = ofS3("AccessDenied", "Access Denied", 403, 1)
export const unavailable: Cause = answered("ServiceUnavailable", "Service is unable to handle request.", 503, ATTEMPTS)
export const unavailableS3: Cause = ofS3("ServiceUnavailable", "Service is unable to handle request.", 503, ATTEMPTS)
export const noSuchKey: Cause = ofS3("NoSuchKey", "The specified key does not exist.", 404, 1)

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
