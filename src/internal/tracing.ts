/** Borrowed from Effect: the identity of its default tracer, to make spans only where something sees them. */
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"

const nativeTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** Whether a tracer is installed. The default tracer exports nothing, so no span is made for it. */
export const isTraced = (fiber: Pick<Fiber.RuntimeFiber<never>, "currentDefaultServices">): boolean =>
  Context.get(fiber.currentDefaultServices, Tracer.Tracer) !== nativeTracer
