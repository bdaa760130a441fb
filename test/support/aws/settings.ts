/** The settings of a process that uses the AWS layers, and the credentials and names in them. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Layer from "effect/Layer"

export const bucket = "clinic-uploads"
export const accessKeyId = "AKIDEXAMPLE"
export const secretAccessKey = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
export const sessionToken = "IQoJb3JpZ2luX2VjEXAMPLETOKEN"

export const settings = (endpoint: string, more: Readonly<Record<string, string>> = {}): Layer.Layer<never> =>
  Layer.setConfigProvider(ConfigProvider.fromMap(
    new Map(Object.entries({
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_SESSION_TOKEN: sessionToken,
      AWS_REGION: "eu-west-1",
      AWS_ENDPOINT_URL: endpoint,
      IMAGE_S3_BUCKET: bucket,
      ...more
    }))
  ))

/** Settings that are complete and right, to change one of them. The secret is one that nothing may show. */
export const good = {
  AWS_ACCESS_KEY_ID: "AKID",
  AWS_SECRET_ACCESS_KEY: "s3cr3t-value",
  AWS_REGION: "eu-west-1",
  IMAGE_S3_BUCKET: "clinic-uploads",
  AWS_SQS_QUEUE_URL: "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"
}
