import type * as Api from '@opentelemetry/api'
import type { IntegrationError } from '@ecokit/contracts'
import type { Redact } from './redact.ts'

/** Where every version 1 of the OpenTelemetry API keeps what was registered: looked at here, it need not be loaded by those who register nothing. */
const registry = Symbol.for('opentelemetry.js.api.1')
const name = '@ecokit/http'
/** https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpclientrequestduration */
const boundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
const known = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'])

/** One request that is watched. */
export interface Watched {
  /** Headers that carry the trace on; none where it must not go. */
  readonly headers: Readonly<Record<string, string>>
  readonly end: (outcome: {
    readonly status: number | undefined
    readonly error: IntegrationError | undefined
    readonly durationMs: number
  }) => void
}
/** Spans and metrics of requests, by the HTTP client conventions of OpenTelemetry. */
export interface Telemetry {
  readonly begin: (request: {
    readonly method: string
    readonly origin: string
    /** With the query. */
    readonly path: string
    readonly redact: Redact
    /** How many requests of the same call went before. */
    readonly resends: number
    readonly propagate: boolean
  }) => Watched
}

/** The address without the values of its query. */
const safeUrl = (origin: string, path: string, redact: Redact): string => {
  const [before = '', query] = redact(path).split('?', 2)
  const names = query
    ?.split('&')
    .map((pair) => (pair.includes('=') ? `${pair.split('=', 1)[0] ?? ''}=REDACTED` : 'REDACTED'))
  return origin + before + (names === undefined ? '' : `?${names.join('&')}`)
}

const openTelemetry = (api: typeof Api): Telemetry => {
  const { context, metrics, propagation, trace, SpanKind, SpanStatusCode } = api
  let meters: Api.MeterProvider | undefined
  let durations: Api.Histogram | undefined
  const histogram = (): Api.Histogram => {
    const provider = metrics.getMeterProvider()
    if (durations !== undefined && provider === meters) return durations
    meters = provider
    return (durations = provider.getMeter(name).createHistogram('http.client.request.duration', {
      description: 'Duration of HTTP client requests.',
      unit: 's',
      advice: { explicitBucketBoundaries: boundaries },
    }))
  }
  return {
    begin: ({ method, origin, path, redact, resends, propagate }) => {
      const { hostname, port, protocol } = new URL(origin)
      const common: Api.Attributes = {
        'http.request.method': known.has(method) ? method : '_OTHER',
        'server.address': hostname,
        'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
        'url.scheme': protocol.slice(0, -1),
      }
      const span = trace.getTracer(name).startSpan(known.has(method) ? method : 'HTTP', {
        kind: SpanKind.CLIENT,
        attributes: {
          ...common,
          'url.full': safeUrl(origin, path, redact),
          ...(known.has(method) ? {} : { 'http.request.method_original': method }),
          ...(resends > 0 && { 'http.request.resend_count': resends }),
        },
      })
      const headers: Record<string, string> = {}
      if (propagate) propagation.inject(trace.setSpan(context.active(), span), headers)
      return {
        headers,
        end: ({ status, error, durationMs }) => {
          const cause = (error?.details as { cause?: string } | undefined)?.cause
          const type = error && (status !== undefined && status >= 400 ? String(status) : (cause ?? error.code))
          const outcome: Api.Attributes = {
            ...(status !== undefined && { 'http.response.status_code': status }),
            ...(type !== undefined && { 'error.type': type }),
          }
          span.setAttributes(outcome)
          if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error.message })
          span.end()
          histogram().record(durationMs / 1000, { ...common, ...outcome })
        },
      }
    },
  }
}

let ready: Telemetry | undefined
let loading: Promise<Telemetry> | undefined
const load = async (): Promise<Telemetry> => (ready = openTelemetry(await import('@opentelemetry/api')))

/** Undefined where nobody registered traces or metrics; the API is loaded by the first request after somebody did. */
export const telemetry = (): Telemetry | Promise<Telemetry> | undefined => {
  const registered = (globalThis as { [registry]?: { readonly trace?: unknown; readonly metrics?: unknown } })[registry]
  if (registered === undefined || (registered.trace === undefined && registered.metrics === undefined)) return undefined
  return ready ?? (loading ??= load())
}
