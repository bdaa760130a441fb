/** Dead letters on their way back, as SQS moves them: one task at a time, so many a second. */
import * as Either from "effect/Either"
import type { ServiceError } from "../../../../Errors.ts"
import type { MoveTask } from "../backend.ts"
import { type MemoryQueue, refusal } from "./memoryQueue.ts"
import type { Timer } from "./timers.ts"

interface Task {
  readonly handle: string
  readonly perSecond: number
  readonly toMove: number
  readonly startedAt: number
  status: "RUNNING" | "COMPLETED" | "CANCELLED"
  moved: number
  timer: Timer | undefined
}

export class Moves {
  readonly #queue: MemoryQueue
  /** The newest first. */
  readonly #tasks: Array<Task> = []

  constructor(queue: MemoryQueue) {
    this.#queue = queue
  }

  start(maxPerSecond: number | undefined, now: number): Either.Either<string, ServiceError> {
    if (this.list(now)[0]?.status === "RUNNING") {
      return Either.left(refusal("StartMessageMoveTask", "InvalidParameterValue", "there is already a task running"))
    }
    const task: Task = {
      handle: `memory-move-${this.#tasks.length + 1}`,
      perSecond: maxPerSecond ?? Infinity,
      toMove: this.#queue.deadLetters(now).length,
      startedAt: now,
      status: "RUNNING",
      moved: 0,
      timer: undefined
    }
    this.#tasks.unshift(task)
    this.#step(task, now)
    return Either.right(task.handle)
  }

  list(now: number): ReadonlyArray<MoveTask> {
    this.#queue.timers.run(now)
    return this.#tasks.map((task) => ({
      handle: task.status === "RUNNING" ? task.handle : undefined,
      status: task.status,
      moved: task.moved,
      toMove: task.toMove,
      failureReason: undefined,
      startedAt: task.startedAt
    }))
  }

  cancel(handle: string, now: number): ServiceError | undefined {
    this.#queue.timers.run(now)
    const task = this.#tasks.find((one) => one.handle === handle && one.status === "RUNNING")
    if (task === undefined) {
      return refusal("CancelMessageMoveTask", "ResourceNotFoundException", "there is no such task that is running")
    }
    task.status = "CANCELLED"
    this.#queue.timers.cancel(task.timer)
    return undefined
  }

  #step(task: Task, now: number): void {
    const second = Math.floor((now - task.startedAt) / 1000)
    const due = Math.min(task.perSecond * (second + 1), task.toMove)
    this.#queue.revive(due - task.moved, now)
    task.moved = due
    if (due === task.toMove) task.status = "COMPLETED"
    else task.timer = this.#queue.timers.set(task.startedAt + (second + 1) * 1000, (later) => this.#step(task, later))
  }
}
