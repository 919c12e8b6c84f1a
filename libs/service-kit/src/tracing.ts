/**
 * Traces by OpenTelemetry. They are on when OTEL_EXPORTER_OTLP_ENDPOINT is set; otherwise the SDK is not even loaded, and a
 * call here costs one lookup of a context that is not there.
 */
import {
  type Attributes,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'

export { SpanKind } from '@opentelemetry/api'

/** Header of requests and of messages of NATS (W3C Trace Context). */
export const traceHeader = 'traceparent'

/** The tracer of a service. */
export interface Tracing {
  /** Runs `work` in a span, whose parent is what `parent` (a traceparent) names; without one it begins a trace. */
  span<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T>
  /** Records a span for what has just ended, below the current span. */
  past(name: string, startedAt: number, attributes: Attributes): void
  /** Sends what is not sent yet. */
  close(): Promise<void>
}

export interface SpanOptions {
  kind: SpanKind
  parent?: string | undefined
  attributes?: Attributes
}

export async function openTracing(options: {
  service: string
  namespace: string
  endpoint: string
  /** Share of traces that are kept, 0 to 1. */
  share: number
}): Promise<Tracing> {
  const [
    { NodeTracerProvider, BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler },
    exporter,
    resources,
  ] = await Promise.all([
    import('@opentelemetry/sdk-trace-node'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ])
  const url = `${options.endpoint.replace(/\/$/, '')}/v1/traces`
  const provider = new NodeTracerProvider({
    resource: resources.resourceFromAttributes({
      'service.name': options.service,
      'service.namespace': options.namespace,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.share) }),
    spanProcessors: [new BatchSpanProcessor(new exporter.OTLPTraceExporter({ url }))],
  })
  // Contexts are those of the process; the first service of several in one registers them for all.
  provider.register()
  return tracingOf(provider.getTracer('im'), () => provider.shutdown())
}

function tracingOf(tracer: Tracer, close: () => Promise<void>): Tracing {
  return {
    span(name, { kind, parent, attributes = {} }, work) {
      const within = parent ? propagation.extract(ROOT_CONTEXT, { [traceHeader]: parent }) : ROOT_CONTEXT
      return tracer.startActiveSpan(name, { kind, attributes }, within, async (span) => {
        try {
          return await work(span)
        } catch (error) {
          // Its message may hold what people write.
          span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).name })
          throw error
        } finally {
          span.end()
        }
      })
    },
    past: (name, startTime, attributes) => tracer.startSpan(name, { startTime, attributes }).end(),
    close,
  }
}

/** Marks the current span: a call that failed through our fault, or one that ended with another error. */
export function endOfCall(span: Span, outcome: string): void {
  span.setAttribute('im.outcome', outcome)
  if (outcome === 'InternalError' || outcome === 'ServiceUnavailable')
    span.setStatus({ code: SpanStatusCode.ERROR, message: outcome })
}

const current = () => trace.getSpanContext(context.active())

/** The id of the trace that this code runs in. */
export const currentTraceId = (): string | undefined => current()?.traceId

/** What others need to continue the trace that this code runs in. */
export function currentTraceParent(): string | undefined {
  const span = current()
  return span && `00-${span.traceId}-${span.spanId}-0${span.traceFlags}`
}
