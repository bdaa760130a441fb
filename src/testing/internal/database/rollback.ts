/** Sandboxes around tests: around one effect, or around all tests of an `it` of `@effect/vitest`. */
import type { Vitest } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ConfigurationError } from "../../../Errors.ts"
import * as Sandbox from "./sandbox.ts"
import type { DatabaseTags, Requirement } from "./view.ts"

export const rollback = <const Tags extends DatabaseTags>(
  ...databases: Tags
): <A, E, R>(
  test: Effect.Effect<A, E, R>
) => Effect.Effect<A, E | ConfigurationError, Exclude<R, Requirement<Tags>> | Requirement<Tags>> => {
  const sandbox = Sandbox.layer(...databases)
  return (test) => Effect.provide(test, sandbox)
}

/** What `rollbackEach` needs of an `it`: that its tests may use what `R` stands for. */
export interface TestMethods<R> {
  readonly effect: Vitest.Test<R>
}

export const rollbackEach = <It extends TestMethods<Requirement<Tags>>, const Tags extends DatabaseTags>(
  it: It,
  ...databases: Tags
): It => wrapMethods(it, rollback(...databases) as Wrap)

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
