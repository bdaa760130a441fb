/** A feature that stores a picture, records it and sends a job for it; run on this machine, or with the real services. */
import { Infrastructure, MainDb, Queue, Storage } from "@betterai/infrastructure"
import { LocalStack } from "@betterai/infrastructure/local"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer } from "effect"

const addPicture = Effect.fn("addPicture")(function*(customerId: number, data: Uint8Array) {
  const storage = yield* Storage
  const queue = yield* Queue

  const picture = yield* storage.uploadImage({ data, customerId, fileExtension: "png" })
  yield* MainDb.withTransaction(
    MainDb.use((sql) => sql`INSERT INTO pictures ${sql.insert({ customer_id: customerId, url: picture.url })}`)
  )
  yield* queue.enqueue({ task: "thumbnail", key: picture.key })
  return picture
})

const program = Effect.gen(function*() {
  yield* MainDb.use((sql) => sql`CREATE TABLE IF NOT EXISTS pictures (customer_id INT NOT NULL, url TEXT NOT NULL)`)
  const picture = yield* addPicture(7, new TextEncoder().encode("not much of a picture"))
  yield* Console.log(picture.url)
})

// On a server, Infrastructure.layer alone: it reads the settings of the environment.
const OnThisMachine = Infrastructure.layer.pipe(Layer.provide(LocalStack.layer))

NodeRuntime.runMain(Effect.provide(program, OnThisMachine))
