/** Plans of faults for Storage and Queue: which call each fault meets, and whether all have happened. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { ConfigurationError, type ConfigurationProblem } from "../../../Errors.ts"
import { isCount, unmet } from "../counts.ts"

/** When a fault happens. */
export interface When<Method extends string> {
  /** The method that it meets. Default: any that it can happen to. */
  readonly method?: Method | undefined
  /** Which call of those it meets, from 1. Default: the next one. */
  readonly call?: number | undefined
  /** How often it happens, one call after another. `Infinity`: always. Default 1. */
  readonly times?: number | undefined
}

/** A fault, and what it does in the place of the service. */
export interface Planned<Method extends string, Act> {
  /** What it is called in messages. */
  readonly name: string
  readonly when: When<Method>
  /** The methods that it can happen to. */
  readonly methods: ReadonlyArray<Method>
  readonly act: Act
  /** What else is wrong with its options. */
  readonly problems?: ReadonlyArray<string> | undefined
}

/** The faults of a plan as they happen. */
export class Plan<Method extends string, Act> {
  readonly #entries: ReadonlyArray<{ readonly fault: Planned<Method, Act>; seen: number; happened: number }>

  constructor(faults: ReadonlyArray<Planned<Method, Act>>) {
    this.#entries = faults.map((fault) => ({ fault, seen: 0, happened: 0 }))
  }

  /** The fault that meets this call; each fault that could have met it has seen it. */
  meet(method: Method): Act | undefined {
    let met: Act | undefined
    for (const entry of this.#entries) {
      const { act, methods, when: { call = 1, method: only, times = 1 } } = entry.fault
      if (!methods.includes(method) || (only !== undefined && only !== method)) continue
      entry.seen++
      if (met !== undefined || entry.seen < call || entry.happened >= times) continue
      entry.happened++
      met = act
    }
    return met
  }

  /** Dies (a defect) with those that have not happened: a test of a failure that never was proves nothing. */
  allHappened(service: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const missing = this.#entries.flatMap(({ fault: { name, when }, happened, seen }) =>
        unmet(name, happened, when.times ?? 1).map((what) => `${what} in ${seen} calls that it could have met`)
      )
      return missing.length === 0 ? Effect.void : Effect.dieMessage(`Testing.faults(${service}): ${missing.join(", ")}`)
    })
  }
}

/** The service in the context with faults. When it is closed after a success, all of them must have happened. */
export const layer = <Self, Service, Method extends string, Act>(
  tag: Context.Tag<Self, Service>,
  faults: ReadonlyArray<Planned<Method, Act>>,
  view: (service: Service, plan: Plan<Method, Act>) => Service
): Layer.Layer<Self, ConfigurationError, Self> =>
  Layer.scoped(
    tag,
    Effect.gen(function*() {
      const problems = problemsOf(faults)
      if (problems.length > 0) {
        return yield* new ConfigurationError({ service: "Testing", reason: "InvalidSettings", problems })
      }
      const service = yield* tag
      const plan = yield* Effect.acquireRelease(
        Effect.sync(() => new Plan(faults)),
        (plan, exit) => Exit.isSuccess(exit) ? plan.allHappened(tag.key.replace(/^.*\//, "")) : Effect.void
      )
      return view(service, plan)
    })
  )

const problemsOf = <Method extends string, Act>(
  faults: ReadonlyArray<Planned<Method, Act>>
): ReadonlyArray<ConfigurationProblem> => {
  if (faults.length === 0) return [{ setting: "plan", detail: "must have at least one fault" }]
  return faults.flatMap(({ methods, name, problems = [], when: { call = 1, method, times = 1 } }, index) => {
    const details = [
      ...(isCount(call) ? [] : ["call must be a whole number from 1"]),
      ...(isCount(times) || times === Infinity ? [] : ["times must be a whole number from 1, or Infinity"]),
      ...(method === undefined || methods.includes(method)
        ? []
        : [`method must be one of ${methods.join(", ")}, which it can happen to`]),
      ...problems
    ]
    return details.map((detail) => ({ setting: `plan[${index}] (${name})`, detail }))
  })
}
