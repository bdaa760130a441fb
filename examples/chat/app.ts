/** All of the chat in one process: the public port, the internal port, the worker and the relay of the outbox. */
import {
  BloodDb,
  GarminDb,
  Health,
  HttpShutdown,
  Infrastructure,
  MainDb,
  Outbox,
  Queue,
  Storage,
  UfcDb
} from "@betterai/infrastructure"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import { Config, Console, Effect, Layer } from "effect"
import { createServer } from "node:http"
import { api } from "./api.ts"
import { Events } from "./events.ts"
import { migrate } from "./schema.ts"
import { worker } from "./worker.ts"

const port = (name: string, usual: number) => Config.withDefault(Config.integer(name), usual)

/** Prints where a server is. */
const announce = (what: string, path: string) =>
  Layer.effectDiscard(HttpServer.addressFormattedWith((address) => Console.log(`${what} ${address}${path}`)))

const publicServer = createServer()

// #region servers
/** Readiness goes first, then the streams of open pages end, then what is under way is finished. */
const Public = Layer.scopedDiscard(
  Effect.acquireRelease(Events, ({ end }) => end)
).pipe(
  Layer.provideMerge(HttpShutdown.drain(publicServer, { deadline: "10 seconds" })(HttpServer.serve(api))),
  Layer.provideMerge(announce("Chat  ", "/")),
  Layer.provide(
    Layer.unwrapEffect(
      Effect.map(
        port("CHAT_PORT", 8080),
        (port) => NodeHttpServer.layer(() => publicServer, { port, host: "127.0.0.1" })
      )
    )
  )
)

/** Not for the public: it names servers, and shows errors. */
const Internal = Health.serve.pipe(
  Layer.provideMerge(announce("Status", "/status")),
  Layer.provide(
    Layer.unwrapEffect(
      Effect.map(
        port("CHAT_INTERNAL_PORT", 9090),
        (port) => NodeHttpServer.layer(createServer, { port, host: "127.0.0.1" })
      )
    )
  )
)
// #endregion

// #region layers
const HealthLive = Health.layerWith({
  databases: [MainDb, GarminDb, BloodDb, UfcDb],
  queues: [Queue],
  storage: Storage,
  outbox: Outbox,
  ready: { databases: [MainDb] }
})

const Live = Layer.mergeAll(Public, Outbox.relay).pipe(
  Layer.provideMerge(Internal),
  Layer.provideMerge(HealthLive),
  Layer.provideMerge(Layer.merge(Outbox.layer(MainDb, Queue), Events.layer)),
  Layer.provideMerge(Layer.effectDiscard(migrate)),
  Layer.provideMerge(Infrastructure.layer)
)

/** Runs until it is interrupted; then the worker and after it the servers finish what they have begun. */
export const chat = Effect.provide(worker, Live)
// #endregion
