/**
 * Layers and combinators for the tests of features. Nothing of it is loaded by the other entry points.
 */
import * as Fault from "./Fault.ts"
import { layer as faults } from "./internal/database/faults.ts"
import type { RecordedOptions, RecordedStatement } from "./internal/database/recorded.ts"
import { recorded, statements } from "./internal/database/recorded.ts"
import type { TestMethods } from "./internal/database/rollback.ts"
import { rollback, rollbackEach } from "./internal/database/rollback.ts"
import { layer as sandbox } from "./internal/database/sandbox.ts"
import type { AnyDatabaseTag, DatabaseTags, Requirement } from "./internal/database/view.ts"

export { Fault, faults, recorded, rollback, rollbackEach, sandbox, statements }
export type { AnyDatabaseTag, DatabaseTags, RecordedOptions, RecordedStatement, Requirement, TestMethods }
export type {
  Made,
  Migrations,
  CopyOf,
  Seeds,
  SqlFile,
  TablesError,
  TableSource,
  TestDatabase
} from "./internal/databases/model.ts"
export { copyOf, database, type DatabaseOptions, migrations, type MigrationsOptions, sqlFile } from "./internal/databases/sources.ts"
export { databases, type DatabasesLayer, layer, type LayerOptions, layerWith, restore, restoring } from "./internal/layers.ts"
