/** The layers of the four databases as a user would provide them, each on a fresh database of the test server. */
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Config from "effect/Config"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { BloodDb, type DatabaseConfig, GarminDb, MainDb, UfcDb } from "../../../src/db/Database.ts"
import { freshDatabase } from "./testServer.ts"
import { prepares } from "./throughProxy.ts"

type Options = Partial<DatabaseConfig> & { readonly urlOptions?: string }

const fresh = <Self>(
  tag: { readonly layerConfig: (config: Config.Config.Wrap<DatabaseConfig>) => Layer.Layer<Self, unknown> },
  name: string,
  { urlOptions = "", ...options }: Options = {}
): Layer.Layer<Self> =>
  Layer.unwrapScoped(
    Effect.map(freshDatabase(name), (url) =>
      tag.layerConfig(
        Config.succeed({
          startup: "lazy",
          preparedStatements: prepares,
          ...options,
          url: Redacted.make(url + urlOptions)
        })
      ))
  ).pipe(Layer.orDie)

export const main = (options?: Options): Layer.Layer<MainDb> => fresh(MainDb, "main", options)
export const garmin = (options?: Options): Layer.Layer<GarminDb> => fresh(GarminDb, "garmin", options)
export const blood = (options?: Options): Layer.Layer<BloodDb> => fresh(BloodDb, "blood", options)
export const ufc = (options?: Options): Layer.Layer<UfcDb> => fresh(UfcDb, "ufc", options)

export const allFour = (options?: Options): Layer.Layer<MainDb | GarminDb | BloodDb | UfcDb> =>
  Layer.mergeAll(main(options), garmin(options), blood(options), ufc(options))

/** The name of the database behind a tag. */
export const nameOf = <Self>(tag: Context.Tag<Self, SqlClient>): Effect.Effect<string, never, Self> =>
  Effect.flatMap(tag, (sql) => sql<{ name: string }>`SELECT DATABASE() AS name`).pipe(
    Effect.map(([row]) => row!.name),
    Effect.orDie
  )
