/**
 * The middleware of a client of ours is made once for each command and each bucket or queue, and not for each call, which
 * costs a quarter of a call. The SDK's own cache (`cacheMiddleware`) is for each command only, and what its middleware
 * knows of the address is shared by all who use the same one: of two calls at once for different buckets, one goes to
 * the other's.
 */

/** An SDK client, as far as it matters here. */
export interface Client {
  readonly send: unknown
}

export interface Command {
  readonly input: object
}

/** What `send` of an SDK client does: it lets the command make its handler, and runs it. */
type Handler = (command: Command) => Promise<{ readonly output: unknown }>

interface OwnClient extends Client {
  readonly middlewareStack: unknown
  readonly config: unknown
}

interface OwnCommand extends Command {
  readonly resolveMiddleware: (stack: unknown, config: unknown, options: object) => Handler
}

export const make = (client: Client): (command: Command) => Handler => {
  const handlers = new Map<string, Map<unknown, Handler>>()
  return (command) => {
    const { Bucket, QueueUrl } = command.input as { readonly Bucket?: string; readonly QueueUrl?: string }
    const resource = Bucket ?? QueueUrl ?? ""
    let ofResource = handlers.get(resource)
    if (ofResource === undefined) handlers.set(resource, ofResource = new Map())
    let handler = ofResource.get(command.constructor)
    if (handler === undefined) {
      const { config, middlewareStack } = client as OwnClient
      handler = (command as OwnCommand).resolveMiddleware(middlewareStack, config, {})
      ofResource.set(command.constructor, handler)
    }
    return handler
  }
}
