/**
 * What the SDK would otherwise read in its environment variables and in the profiles on the machine. Endpoints, FIPS and
 * dual stack are settings of ours. What is missing here (AWS_AUTH_SCHEME_PREFERENCE, AWS_DEFAULTS_MODE,
 * AWS_S3_USE_ARN_REGION and others) changes no request to a bucket or a queue.
 */
import type { S3ClientConfig } from "@aws-sdk/client-s3"
import type { SQSClientConfig } from "@aws-sdk/client-sqs"

export const pinned: S3ClientConfig & SQSClientConfig = {
  /** AWS_ENDPOINT_URL and its like, and `endpoint_url` of a profile. */
  ignoreConfiguredEndpointUrls: true,
  /** AWS_MAX_ATTEMPTS. */
  maxAttempts: 3,
  /** AWS_RETRY_MODE. */
  retryMode: "standard",
  /** AWS_DISABLE_CLOCK_SKEW_CORRECTION: without the correction no request succeeds while the clock is wrong. */
  disableClockSkewCorrection: false,
  /** AWS_SDK_UA_APP_ID. An `undefined` would count as not given. */
  userAgentAppId: () => Promise.resolve(undefined)
}
