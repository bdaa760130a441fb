/** Which databases the local stack makes, and their names. */
import * as Effect from "effect/Effect"
import { ConfigurationError, type ConfigurationProblem } from "../../Errors.ts"

/** The settings prefixes of the databases that every local stack has. A prefix added here adds a database. */
export const PREFIXES = ["MAIN_DB", "GARMIN_DB", "BLOOD_DB", "UFC_DB"] as const

/** The variable that holds the URL of a database. */
export type VariableOf<Prefix extends string> = `${Prefix}_URL`

export interface LocalDatabase<Prefix extends string = string> {
  /** Its name on the server. */
  readonly name: string
  /** The variable of its URL. */
  readonly variable: VariableOf<Prefix>
}

/** The prefix in lower case, without `_db` at its end: MAIN_DB is `main`. */
export const databaseOf = <Prefix extends string>(prefix: Prefix): LocalDatabase<Prefix> => ({
  name: prefix.toLowerCase().replace(/(?<=.)_db$/, ""),
  variable: `${prefix}_URL`
})

/** The databases that a server keeps for itself. */
const systemDatabases = ["mysql", "sys", "information_schema", "performance_schema"]

/**
 * The databases of {@link PREFIXES} and of these further prefixes, each once. No two may have the same name, and no
 * prefix may begin with AWS_.
 */
export const databasesOf = (
  prefixes: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<LocalDatabase>, ConfigurationError> =>
  Effect.suspend(() => {
    const databases = [...new Set<string>([...PREFIXES, ...prefixes])].map((prefix) => databaseOf(prefix))
    const owners = new Map(systemDatabases.map((name) => [name, "the server itself"]))
    const problems: Array<ConfigurationProblem> = []
    for (const { name, variable } of databases) {
      const owner = owners.get(name)
      owners.set(name, owner ?? variable)
      const detail = variable.startsWith("AWS_")
        ? "begins with AWS_, as the settings of S3 and SQS do"
        : owner === undefined
        ? undefined
        : `would be the local database "${name}", which belongs to ${owner}`
      if (detail === undefined) continue
      problems.push({ setting: variable, detail, hint: "give the tag of this database another prefix" })
    }
    return problems.length === 0
      ? Effect.succeed(databases)
      : Effect.fail(new ConfigurationError({ service: "LocalStack", reason: "InvalidSettings", problems }))
  })
