/** Who may use the one connection of a sandbox next. Those that wait are told when nothing happens any more. */
import { Lock } from "../../../db/internal/waiting/lock.ts"

/**
 * How long the work that has the sandbox may send nothing while other work waits for it, in milliseconds. Less than the 5
 * seconds that vitest gives a test.
 */
export const STANDSTILL = 3_000

/** What happens on the connection of a sandbox. */
export class Activity {
  #busy = false
  #since = performance.now()

  /** A statement is sent. */
  begin(): void {
    this.#busy = true
  }

  /** It has been answered. */
  end(): void {
    this.#busy = false
    this.#since = performance.now()
  }

  /** How long nothing has been sent. */
  get standstill(): number {
    return this.#busy ? 0 : performance.now() - this.#since
  }
}

/** A lock for which one waits until nothing happens any more, in the place of a fixed deadline. */
export class TurnLock extends Lock {
  readonly #activity: Activity

  constructor(activity: Activity) {
    super()
    this.#activity = activity
  }

  override acquire(
    _deadline: number,
    granted: () => void,
    refused: (why: "closed" | "timeout") => void
  ): () => void {
    let takeBack = (): void => {}
    const wait = (millis: number): void => {
      takeBack = super.acquire(millis, granted, (why) => {
        const left = STANDSTILL - this.#activity.standstill
        if (why === "timeout" && left > 0) wait(left)
        else refused(why)
      })
    }
    wait(STANDSTILL)
    return () => takeBack()
  }
}
