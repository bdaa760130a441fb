/** The multipart uploads of S3 on a fault server: it keeps the open uploads, and fails as it is told. */
import type { Answer, FaultServer, Seen } from "./faultServer.ts"

export interface FakeS3 {
  /** The parts of the uploads that were begun, and neither completed nor aborted. */
  readonly open: Map<string, Map<number, Buffer>>
  readonly completed: Array<{ readonly body: Buffer; readonly xml: string }>
  readonly operations: () => ReadonlyArray<Operation>
}

export type Operation = "Put" | "Create" | "Part" | "Complete" | "Abort" | "Delete" | "Get" | "Head"

export const operationOf = ({ method, path }: Seen): Operation => {
  const query = new URL(path, "http://s3").searchParams
  if (query.has("uploads")) return "Create"
  if (query.has("partNumber")) return "Part"
  if (!query.has("uploadId")) {
    return method === "DELETE" ? "Delete" : method === "GET" ? "Get" : method === "HEAD" ? "Head" : "Put"
  }
  return method === "DELETE" ? "Abort" : "Complete"
}

/** `fault` may answer a request itself; `index` counts the requests of that operation from 0. */
export const fakeS3 = (
  server: FaultServer,
  fault: (operation: Operation, index: number, request: Seen) => Answer | undefined = () => undefined
): FakeS3 => {
  const open: FakeS3["open"] = new Map()
  const completed: FakeS3["completed"] = []
  const counts = new Map<Operation, number>()

  const answer = (operation: Operation, request: Seen): Answer => {
    const query = new URL(request.path, "http://s3").searchParams
    const uploadId = query.get("uploadId") ?? ""
    switch (operation) {
      case "Delete":
        return { status: 204 }
      case "Get":
      case "Head":
        return { status: 404 }
      case "Put":
        return { status: 200, headers: { etag: "\"put\"" } }
      case "Create": {
        const id = `upload-${open.size + completed.length}`
        open.set(id, new Map())
        return {
          status: 200,
          body: `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`
        }
      }
      case "Part": {
        const number = Number(query.get("partNumber"))
        open.get(uploadId)?.set(number, request.body)
        return { status: 200, headers: { etag: `"part-${number}"` } }
      }
      case "Complete": {
        const parts = open.get(uploadId) ?? new Map<number, Buffer>()
        open.delete(uploadId)
        completed.push({
          body: Buffer.concat(Array.from(parts).sort(([a], [b]) => a - b).map(([, bytes]) => bytes)),
          xml: String(request.body)
        })
        return {
          status: 200,
          body: "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>"
        }
      }
      case "Abort":
        return open.delete(uploadId) ? { status: 204 } : { status: 404 }
    }
  }

  server.answer((request) => {
    const operation = operationOf(request)
    const index = counts.get(operation) ?? 0
    counts.set(operation, index + 1)
    return fault(operation, index, request) ?? answer(operation, request)
  })
  return { open, completed, operations: () => server.seen.map(operationOf) }
}
