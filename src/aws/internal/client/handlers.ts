/**
 * The middleware of a client of ours is made once for each command and each bucket or queue, and not for each call, which
 * costs a quarter of a call. The SDK's own cache (`cacheMiddleware`) is for each command only, and what its middleware
 * knows of the address is shared by all who use the same one: of two calls at once for different buckets, one goes to
 * the other's.
 */
import type { Client, Command, Handler } from "./command.ts"
import * as Direct from "./direct.ts"

interface OwnClient extends Client {
  readonly middlewareStack?: { readonly identify?: () => ReadonlyArray<string> }
  readonly config: unknown
}

interface OwnCommand extends Command {
  readonly resolveMiddleware: (stack: unknown, config: unknown, options: object) => Handler
}

/** `operation` is the name of the SDK's command. */
export const make = (client: Client): (operation: string, command: Command) => Handler => {
  const handlers = new Map<string, Map<unknown, Handler>>()
  const { config, middlewareStack } = client as OwnClient
  const middleware = (): string | undefined => middlewareStack?.identify?.().join()
  const own = middleware()
  return (operation, command) => {
    const { Bucket, QueueUrl } = command.input as { readonly Bucket?: string; readonly QueueUrl?: string }
    const resource = Bucket ?? QueueUrl ?? ""
    let ofResource = handlers.get(resource)
    if (ofResource === undefined) handlers.set(resource, ofResource = new Map())
    let handler = ofResource.get(command.constructor)
    if (handler === undefined) {
      handler = (command as OwnCommand).resolveMiddleware(middlewareStack, config, {})
      // Middleware that somebody has added since must see each request.
      if (Direct.operations.has(operation) && middleware() === own) {
        handler = Direct.make(handler, config as Direct.ClientConfig)
      }
      ofResource.set(command.constructor, handler)
    }
    return handler
  }
}
