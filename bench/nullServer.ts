/** A server of the bench in a process of its own, and the settings that lead to it. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Layer from "effect/Layer"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"

export interface NullServer {
  readonly endpoint: string
  /** For clients of the SDK. */
  readonly client: {
    readonly region: string
    readonly endpoint: string
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  }
  /** For ours. */
  readonly settings: (more: Readonly<Record<string, string>>) => Layer.Layer<never>
  readonly stop: () => void
}

export const start = async (file: "nullAws" | "nullSqs"): Promise<NullServer> => {
  const server = fork(fileURLToPath(new URL(`./${file}.ts`, import.meta.url)))
  const port = await new Promise<number>((resolve) => server.once("message", (port) => resolve(port as number)))
  const endpoint = `http://127.0.0.1:${port}`
  return {
    endpoint,
    client: { region: "eu-west-1", endpoint, credentials: { accessKeyId: "AKID", secretAccessKey: "secret" } },
    settings: (more) =>
      Layer.setConfigProvider(ConfigProvider.fromMap(
        new Map(Object.entries({
          AWS_ACCESS_KEY_ID: "AKID",
          AWS_SECRET_ACCESS_KEY: "secret",
          AWS_REGION: "eu-west-1",
          AWS_ENDPOINT_URL: endpoint,
          ...more
        }))
      )),
    stop: () => server.disconnect()
  }
}
