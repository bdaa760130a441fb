/**
 * S3 demands a checksum of the list of keys to delete. The SDK sends a CRC32 whatever its settings; servers that know no
 * checksums but the old one refuse that.
 */
import { createHash } from "node:crypto"

interface Request {
  readonly headers: Record<string, string>
  readonly body?: unknown
}

export const middleware = {
  // After the SDK's checksums, before the signature.
  options: { step: "build", name: "betteraiContentMd5", priority: "low" },
  run: <Args extends { readonly request: unknown }, Result>(
    next: (args: Args) => Promise<Result>,
    { commandName }: { readonly commandName?: string }
  ) =>
  (args: Args): Promise<Result> => {
    const { body, headers } = args.request as Request
    if (commandName === "DeleteObjectsCommand" && typeof body === "string") {
      for (const name of Object.keys(headers)) {
        if (/^x-amz-(sdk-)?checksum-/.test(name)) delete headers[name]
      }
      headers["content-md5"] = createHash("md5").update(body).digest("base64")
    }
    return next(args)
  }
} as const
