/** Which kind of server the tests of this run have, and what only one of the two kinds knows. */
import { describe, inject } from "vitest"
import type { TestMysql } from "../globalSetup.ts"

type Kind = TestMysql["kind"]

const kind: Kind = inject("mysql")[0]!.kind

/** What is said in two ways: the one for this run's server. */
export const byServer = <A>(ways: Readonly<Record<Kind, A>>): A => ways[kind]

const on = (only: Kind) => (title: string, tests: () => void): void => {
  describe.runIf(kind === only)(`${title} (on ${only} only)`, tests)
}

/** Tests of what only MySQL does. On MariaDB they are reported as skipped. */
export const onMysql: (title: string, tests: () => void) => void = on("MySQL")

/** Tests of what only MariaDB does. On MySQL they are reported as skipped. */
export const onMariaDb: (title: string, tests: () => void) => void = on("MariaDB")

/** The variable with the isolation level of the session. MariaDB has the name of MySQL since 11.1. */
export const isolationVariable = byServer({ MySQL: "@@transaction_isolation", MariaDB: "@@tx_isolation" })
