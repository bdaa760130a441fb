/** MainDb behind Hono: `npx tsx examples/hono.ts`, with the settings of the environment. */
import { MainDb } from "@betterai/infrastructure"
import { serve } from "@hono/node-server"
import { ManagedRuntime } from "effect"
import { Hono } from "hono"
import type { Server } from "node:http"
import { pathToFileURL } from "node:url"
import { addPerson, session, shutdown } from "./http/session.ts"

export const makeApp = <E>(runtime: ManagedRuntime.ManagedRuntime<MainDb, E>): Hono => {
  const app = new Hono()
  app.post("/people", async (context) => {
    const input: unknown = await context.req.json().catch(() => undefined)
    const name = typeof input === "object" && input !== null && "name" in input ? input.name : undefined
    // The signal is aborted when the client goes before it has its answer.
    const { body, status } = await runtime.runPromise(session(addPerson(name)), { signal: context.req.raw.signal })
    return context.json(body, status)
  })
  // Also what is interrupted comes here; its client has gone.
  app.onError((_, context) => context.json({ error: "internal error" }, 500))
  return app
}

export const makeServer = (app: Hono, port: number): Server => serve({ fetch: app.fetch, port }) as Server

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const runtime = ManagedRuntime.make(MainDb.layer)
  // Builds the layers, so that a wrong setting is seen now and not by the first client.
  await runtime.runtime()
  const server = makeServer(makeApp(runtime), 3000)
  const close = () => new Promise((resolve) => server.close(resolve))
  const stop = () =>
    void shutdown({ close, cut: () => server.closeAllConnections() }, runtime).finally(() => process.exit())
  process.once("SIGTERM", stop).once("SIGINT", stop)
}
