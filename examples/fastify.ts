/** MainDb behind Fastify: `npx tsx examples/fastify.ts`, with the settings of the environment. */
import { MainDb } from "@betterai/infrastructure"
import { ManagedRuntime } from "effect"
import fastify, { type FastifyInstance, type FastifyReply } from "fastify"
import { pathToFileURL } from "node:url"
import { addPerson, session, shutdown } from "./http/session.ts"

/** Aborted when the client goes before it has its answer. */
const disconnect = (reply: FastifyReply): AbortSignal => {
  const controller = new AbortController()
  reply.raw.once("close", () => {
    if (!reply.raw.writableEnded) controller.abort()
  })
  return controller.signal
}

export const makeServer = <E>(runtime: ManagedRuntime.ManagedRuntime<MainDb, E>): FastifyInstance => {
  const app = fastify()
  app.post<{ readonly Body: { readonly name?: unknown } | null }>("/people", async (request, reply) => {
    const { body, status } = await runtime.runPromise(
      session(addPerson(request.body?.name)),
      { signal: disconnect(reply) }
    )
    return reply.code(status).send(body)
  })
  return app
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const runtime = ManagedRuntime.make(MainDb.layer)
  // Builds the layers, so that a wrong setting is seen now and not by the first client.
  await runtime.runtime()
  const app = makeServer(runtime)
  await app.listen({ port: 3000 })
  const stop = () =>
    void shutdown({ close: () => app.close(), cut: () => app.server.closeAllConnections() }, runtime)
      .finally(() => process.exit())
  process.once("SIGTERM", stop).once("SIGINT", stop)
}
