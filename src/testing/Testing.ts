/**
 * Layers and combinators for the tests of features. Nothing of it is loaded by the other entry points.
 */
import type { AnyDatabaseTag } from "../db/Database.ts"
import * as Fault from "./Fault.ts"
import type { RecordedOptions, RecordedStatement } from "./internal/database/recorded.ts"
import { recorded, statements } from "./internal/database/recorded.ts"
import type { TestMethods } from "./internal/database/rollback.ts"
import { rollback, rollbackEach } from "./internal/database/rollback.ts"
import { layer as sandbox } from "./internal/database/sandbox.ts"
import type { DatabaseTags, Requirement } from "./internal/database/view.ts"
import type {
  CopyOf,
  Made,
  Migrations,
  Seeds,
  SqlFile,
  Surroundings,
  TablesError,
  TableSource,
  TestDatabase
} from "./internal/environment/model.ts"
import type { DatabaseOptions, MigrationsOptions } from "./internal/environment/sources.ts"
import { copyOf, database, migrations, sqlFile } from "./internal/environment/sources.ts"
import { faults } from "./internal/faults.ts"
import type { DatabasesLayer, LayerOptions } from "./internal/layers.ts"
import { databases, layer, layerWith, restore, restoring } from "./internal/layers.ts"
import type { Project } from "./internal/setup.ts"
import { setup } from "./internal/setup.ts"
import * as QueueFault from "./QueueFault.ts"
import * as StorageFault from "./StorageFault.ts"

export {
  copyOf,
  database,
  databases,
  Fault,
  faults,
  layer,
  layerWith,
  migrations,
  QueueFault,
  recorded,
  restore,
  restoring,
  rollback,
  rollbackEach,
  sandbox,
  setup,
  sqlFile,
  statements,
  StorageFault
}
export type {
  AnyDatabaseTag,
  CopyOf,
  DatabaseOptions,
  DatabasesLayer,
  DatabaseTags,
  LayerOptions,
  Made,
  Migrations,
  MigrationsOptions,
  Project,
  RecordedOptions,
  RecordedStatement,
  Requirement,
  Seeds,
  SqlFile,
  Surroundings,
  TablesError,
  TableSource,
  TestDatabase,
  TestMethods
}
