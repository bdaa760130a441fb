/**
 * Layers and combinators for the tests of features. Nothing of it is loaded by the other entry points.
 */
import { rollback } from "./internal/database/rollback.ts"
import { layer as sandbox } from "./internal/database/sandbox.ts"

export { rollback, sandbox }
