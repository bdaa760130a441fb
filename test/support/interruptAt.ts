/** Interruptions at every moment, one after the other. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type * as Scheduler from "effect/Scheduler"

/**
 * Runs the effect in a fiber that is interrupted after that many steps, its own and those of its children. A fiber may
 * yield after any of its steps, and then be interrupted: after every 2,048th it does. Tells whether it came so far.
 */
export const interruptAt = <A, E>(effect: Effect.Effect<A, E>, steps: number): Effect.Effect<boolean> =>
  Effect.withFiberRuntime<boolean>((parent) => {
    const scheduler = parent.currentScheduler
    let target: Fiber.RuntimeFiber<A, E> | undefined
    let count = 0
    const interrupting: Scheduler.Scheduler = {
      scheduleTask: (task, priority) => scheduler.scheduleTask(task, priority),
      shouldYield: (fiber) => {
        if (target === undefined || ++count !== steps) return scheduler.shouldYield(fiber)
        target.unsafeInterruptAsFork(FiberId.none)
        return 0
      }
    }
    return Effect.fork(Effect.withScheduler(effect, interrupting)).pipe(
      Effect.tap((fiber) => Effect.sync(() => void (target = fiber))),
      Effect.flatMap(Fiber.await),
      Effect.map(() => count >= steps)
    )
  })

/** Runs the effect again and again, interrupted one step later each time, until it ends before its interruption. */
export const interruptEverywhere = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<void> =>
  Effect.iterate(1, {
    while: (steps) => steps > 0,
    body: (steps) => Effect.map(interruptAt(effect, steps), (interrupted) => interrupted ? steps + 1 : 0)
  })
