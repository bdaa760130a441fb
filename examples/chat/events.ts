/** Tells the open pages of this process that something was committed. They ask for what it is. */
import { Context, Deferred, Effect, Layer, PubSub, Stream } from "effect"

export class Events extends Context.Tag("chat/Events")<Events, {
  readonly changed: Effect.Effect<void>
  /** One element at once, and one after each change; changes that come while nobody reads are one. */
  readonly changes: Stream.Stream<void>
  /** Ends all streams, so that a shutdown need not wait for the pages. */
  readonly end: Effect.Effect<void>
}>() {
  static readonly layer: Layer.Layer<Events> = Layer.effect(
    Events,
    Effect.gen(function*() {
      const pubSub = yield* PubSub.sliding<void>(1)
      const ended = yield* Deferred.make<void>()
      return {
        changed: Effect.asVoid(PubSub.publish(pubSub, undefined)),
        // Subscribed before the first element, after which the page asks: so no change is missed.
        changes: Stream.unwrapScoped(Effect.map(
          PubSub.subscribe(pubSub),
          (changes) => Stream.concat(Stream.make(undefined), Stream.fromQueue(changes))
        )).pipe(Stream.interruptWhenDeferred(ended)),
        end: Effect.asVoid(Deferred.succeed(ended, undefined))
      }
    })
  )
}
