/** Sandboxes around tests: around one effect, or around all tests of an `it` of `@effect/vitest`. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { Vitest } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type { AnyDatabaseTag } from "../../../db/Database.ts"
import * as Client from "../../../db/internal/client.ts"
import { ConfigurationError } from "../../../Errors.ts"
import * as Sandbox from "./sandbox.ts"
import type { DatabaseTags, Requirement } from "./view.ts"

/**
 * Runs a test in a sandbox of these databases; without tags, of all databases that the test is given. One of another
 * client cannot have one: named, it is refused; else it is left out, as are databases that a service took in before.
 */
export const rollback: {
  <const Tags extends DatabaseTags>(...databases: Tags): <A, E, R>(
    test: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | ConfigurationError, Exclude<R, Requirement<Tags>> | Requirement<Tags>>
  <A, E, R>(test: Effect.Effect<A, E, R>): Effect.Effect<A, E | ConfigurationError, R>
} = (...args: ReadonlyArray<unknown>): never => {
  // A tag is an effect too.
  if (!isTag(args[0])) return inAll(args[0] as Test) as never
  const sandbox = Sandbox.layer(...args as unknown as DatabaseTags)
  return ((test: Test) => Effect.provide(test, sandbox)) as never
}

const isTag = (value: unknown): value is AnyDatabaseTag => Predicate.hasProperty(value, "databaseName")

const inAll = <A, E, R>(test: Effect.Effect<A, E, R>): Effect.Effect<A, E | ConfigurationError, R> =>
  Effect.contextWithEffect((context: Context.Context<R>) => {
    const [first, ...others] = tagsIn(context as Context.Context<never>)
    return first === undefined
      ? Effect.fail(
        new ConfigurationError({
          service: "Testing",
          reason: "NotConfigured",
          problems: [{
            setting: "rollback",
            detail: "the test is given no database of ours",
            hint: "provide a database around it, or leave the rollback out"
          }]
        })
      )
      : Effect.provide(test, Sandbox.layer(first, ...others)) as Effect.Effect<A, E | ConfigurationError, R>
  })

/** The databases of a context, under the keys that they have there. */
const tagsIn = ({ unsafeMap }: Context.Context<never>): ReadonlyArray<AnyDatabaseTag> =>
  [...unsafeMap].flatMap(([key, service]) => {
    const dataSource = Client.dataSourceOf(service as SqlClient.SqlClient)
    return dataSource === undefined
      ? []
      : [Object.assign(Context.GenericTag<unknown, SqlClient.SqlClient>(key), { databaseName: dataSource.name })]
  })

/** What `rollbackEach` needs of an `it`: that its tests may use what `R` stands for. */
export interface TestMethods<R> {
  readonly effect: Vitest.Test<R>
}

/** Every test of an `it` in a sandbox of its own, as {@link rollback} makes them; nothing else of `it` changes. */
export const rollbackEach: {
  <It extends { readonly effect: Vitest.Test<never> }>(it: It): It
  <It extends TestMethods<Requirement<Tags>>, const Tags extends DatabaseTags>(it: It, ...databases: Tags): It
} = <It extends object>(it: It, ...databases: ReadonlyArray<AnyDatabaseTag>): It =>
  wrapMethods(it, databases.length === 0 ? inAll : rollback(...databases as unknown as DatabaseTags) as Wrap)

type Test = Effect.Effect<unknown, unknown, unknown>
type Wrap = (test: Test) => Test
type AnyFunction = (...args: ReadonlyArray<unknown>) => unknown

/** The members of an `it` that make tests of effects, each with members of the same kind. */
const testers: ReadonlySet<PropertyKey> = new Set(["effect", "live", "scoped", "scopedLive"])

/** The members of those that return one of the kind. */
const curried: ReadonlySet<PropertyKey> = new Set(["each", "skipIf", "runIf"])

const wrapMethods = <It extends object>(it: It, wrap: Wrap): It =>
  new Proxy(it, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name)
      if (typeof member === "function" && testers.has(name)) {
        // What a test closes at its end may still need the database.
        return wrapTester(
          member as AnyFunction,
          name.toString().startsWith("scoped")
            ? (test) => wrap(Effect.scoped(test as Effect.Effect<unknown, unknown, Scope.Scope>))
            : wrap
        )
      }
      return name === "layer"
        ? mapResult(member as AnyFunction, (nest) =>
          mapFunctions(nest, (tests) => (inner) => tests(wrapMethods(inner as object, wrap))))
        : member
    }
  })

const wrapTester = (tester: AnyFunction, wrap: Wrap): AnyFunction => {
  const wrapBody = (body: AnyFunction): AnyFunction => (...args) => wrap(Effect.suspend(() => body(...args) as Test))
  const members = Object.entries<AnyFunction>(tester as never).map(([name, member]) => [
    name,
    curried.has(name) ? mapResult(member, (made) => mapFunctions(made, wrapBody)) : mapFunctions(member, wrapBody)
  ])
  return Object.assign(mapFunctions(tester, wrapBody), Object.fromEntries(members))
}

/** The function, with each argument that is a function changed: of all that a tester takes, its body alone is one. */
const mapFunctions = (self: AnyFunction, change: (argument: AnyFunction) => AnyFunction): AnyFunction => (...args) =>
  self(...args.map((argument) => typeof argument === "function" ? change(argument as AnyFunction) : argument))

const mapResult = (self: AnyFunction, change: (result: AnyFunction) => AnyFunction): AnyFunction => (...args) =>
  change(self(...args) as AnyFunction)
