/** Whom a new connection logs in as: the user of the URL, or what the `credentials` of the settings give at that time. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { ConfigurationError, DatabaseError, ServiceError } from "../../../Errors.ts"
import { makeError } from "../errors/classify.ts"
import type { Settings } from "../settings/settings.ts"

export interface Login {
  readonly user: string
  readonly password: Redacted.Redacted
}

/** Calls back once, unless the function returned gives up first. A login may be given before it returns, an error not. */
export type LoginSource = (done: (login: Login | DatabaseError) => void) => () => void

/** Runs the settings' `credentials` at each call, in fibers that live no longer than the scope. */
export const loginSource = (
  settings: Settings,
  runtime: Runtime.Runtime<never>,
  scope: Scope.Scope
): LoginSource => {
  const { credentials, name, password, user } = settings
  if (credentials === undefined) {
    return (done) => {
      done({ user, password })
      return ignore
    }
  }
  const runFork = Runtime.runFork(runtime)
  const login = Effect.interruptible(credentials).pipe(
    Effect.map((given) => loginOf(settings, given)),
    // Effect would log the failure of a fiber, with whatever it quotes.
    Effect.catchAllCause((cause) => Effect.succeed(unavailable(name, cause)))
  )
  return (done) => {
    const fiber = runFork(login, { scope, immediate: false })
    let answered = false
    fiber.addObserver((exit) => {
      if (answered) return
      answered = true
      done(Exit.isSuccess(exit) ? exit.value : unavailable(name, exit.cause))
    })
    return () => {
      if (answered) return
      answered = true
      fiber.unsafeInterruptAsFork(FiberId.none)
    }
  }
}

/** What the effect gave, checked: at run time it may be anything. The password is a copy, which the caller cannot wipe. */
const loginOf = (settings: Settings, given: unknown): Login | DatabaseError => {
  const { password, user = settings.user } = Object(given) as { readonly password?: unknown; readonly user?: unknown }
  const text = Redacted.isRedacted(password) ? Redacted.value(password) : undefined
  return typeof text === "string" && typeof user === "string" && user !== ""
    ? { user, password: Redacted.make(text) }
    : makeError(
      settings.name,
      "MissingCredentials",
      "what `credentials` gave has no Redacted password, or a user that is not a text",
      { hint: "let it give { password: Redacted.make(…) }, and `user` if it is not that of the URL" }
    )
}

/** The credentials did not come, or not in time. */
export const lateCredentials = ({ connectTimeout, name }: Settings): DatabaseError =>
  makeError(name, "MissingCredentials", `\`credentials\` gave nothing within ${connectTimeout} ms`, {
    hint: "let it cache what is slow to read, or raise CONNECT_TIMEOUT",
    retryable: true
  })

const unavailable = (database: string, cause: Cause.Cause<unknown>): DatabaseError => {
  const failure = Cause.isInterruptedOnly(cause) ? { name: "interrupted" } : Cause.squash(cause)
  const name = nameOf(failure)
  return new DatabaseError({
    database,
    reason: "MissingCredentials",
    retryable: true,
    detail: `\`credentials\` failed${name === undefined ? "" : ` (${name})`}, so no login was tried`,
    hint: "see the cause; a failure that is not an error of this package must be logged where it arises",
    cause: isOurs(failure)
      ? failure
      : Object.assign(new Error("its message is left out, because it may quote a secret"), { name: name ?? "Error" })
  })
}

/** Their renderings show no secret. Nothing is known of other errors: one of JSON.parse quotes what it could not parse. */
const isOurs = (failure: unknown): boolean =>
  failure instanceof DatabaseError || failure instanceof ServiceError || failure instanceof ConfigurationError

/** What kind of failure it is, if it says so in one word. */
const nameOf = (failure: unknown): string | undefined => {
  const { _tag, name } = Object(failure) as { readonly _tag?: unknown; readonly name?: unknown }
  return [_tag, name].find((text) => typeof text === "string" && /^[A-Za-z][\w.@/-]{0,79}$/.test(text)) as
    | string
    | undefined
}

const ignore = (): void => {}
