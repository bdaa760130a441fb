import * as Tracer from "effect/Tracer"

export interface RecordedSpan extends Tracer.Span {
  readonly attributes: ReadonlyMap<string, unknown>
}

/** A tracer that keeps every span it is asked for, in order, with its attributes. */
export const recordingTracer = (): {
  readonly spans: ReadonlyArray<RecordedSpan>
  readonly tracer: Tracer.Tracer
} => {
  const spans: Array<RecordedSpan> = []
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      const attributes = new Map<string, unknown>()
      const span: RecordedSpan = {
        _tag: "Span",
        name,
        spanId: `span-${spans.length}`,
        traceId: "trace",
        parent,
        context,
        status: { _tag: "Started", startTime },
        attributes,
        links,
        sampled: true,
        kind,
        end: (endTime, exit) => void Object.assign(span, { status: { _tag: "Ended", startTime, endTime, exit } }),
        attribute: (key, value) => {
          attributes.set(key, value)
        },
        event: () => {},
        addLinks: () => {}
      }
      spans.push(span)
      return span
    },
    context: (execution) => execution()
  })
  return { spans, tracer }
}
