import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { context, metrics, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { failure, json, open, serve, text } from './support.ts'

const anything = z.unknown()
const spans = new InMemorySpanExporter()
let measured: InMemoryMetricExporter
let reader: PeriodicExportingMetricReader

beforeEach(() => {
  spans.reset()
  measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }))
  reader = new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 3_600_000 })
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
  propagation.setGlobalPropagator({
    inject: (at, carrier, { set }) => {
      const span = trace.getSpanContext(at)
      if (span !== undefined) set(carrier, 'traceparent', `00-${span.traceId}-${span.spanId}-01`)
    },
    extract: (at) => at,
    fields: () => ['traceparent'],
  })
})
afterEach(async () => {
  await reader.shutdown()
  for (const api of [context, trace, metrics, propagation]) api.disable()
})
const durations = async () => {
  await reader.forceFlush()
  return measured
    .getMetrics()
    .flatMap(({ scopeMetrics }) => scopeMetrics)
    .flatMap((scope) => scope.metrics)
}

test('each request is a client span with the names of the conventions, below the span of its caller', async () => {
  const { url, received } = await serve((_, response, count) => json(response, {}, count === 1 ? 503 : 200))
  const { hostname, port } = new URL(url)
  const network = open(url, {
    secrets: ['canary-1'],
    authorizer: { authorize: ({ url: address }) => address.searchParams.set('key', 'canary-1') },
  })
  const tracer = trace.getTracer('test')
  await tracer.startActiveSpan('caller', async (caller) => {
    const request = { method: 'GET', path: 'a/canary-1', query: { q: 'words of a person', flag: '' } }
    await network.http(`${url}/v1`).json(request, anything)
    caller.end()
  })
  const [failed, good, caller] = spans.getFinishedSpans()
  const common = {
    'http.request.method': 'GET',
    'server.address': hostname,
    'server.port': Number(port),
    'url.scheme': 'http',
    'url.full': `${url}/v1/a/***?q=REDACTED&flag=REDACTED`,
  }
  expect(failed).toMatchObject({ name: 'GET', kind: SpanKind.CLIENT, status: { code: SpanStatusCode.ERROR } })
  expect(failed!.attributes).toEqual({ ...common, 'http.response.status_code': 503, 'error.type': '503' })
  expect(good).toMatchObject({ name: 'GET', kind: SpanKind.CLIENT, status: { code: SpanStatusCode.UNSET } })
  expect(good!.attributes).toEqual({ ...common, 'http.response.status_code': 200, 'http.request.resend_count': 1 })
  for (const span of [failed!, good!]) expect(span.parentSpanContext?.spanId).toBe(caller!.spanContext().spanId)
  // The trace goes on at the partner, from the span of each request.
  expect(received.map(({ headers }) => headers['traceparent'])).toEqual(
    [failed!, good!].map((span) => `00-${span.spanContext().traceId}-${span.spanContext().spanId}-01`),
  )
  expect(JSON.stringify(spans.getFinishedSpans().map(({ attributes, status }) => [attributes, status]))).not.toMatch(
    /canary|words/,
  )
})
test('what came of no reply, of a stream and of an unknown method', async () => {
  const { url } = await serve((_, response) => json(response, { a: 1 }))
  const away = open('http://127.0.0.1:1', { runtime: { policy: { attempts: 1 } } })
  await failure(away.http('http://127.0.0.1:1').json({ method: 'GET', path: '' }, anything), 'unavailable')
  const network = open(url)
  const reply = await network.http(url).request({ method: 'GET', path: 'x' })
  expect(spans.getFinishedSpans()).toHaveLength(1)
  await text(reply.body)
  await failure(network.http(url).json({ method: 'BREW', path: 'x' }, z.string()), 'rejected')
  const [lost, streamed, brewed] = spans.getFinishedSpans()
  expect(lost!.attributes).toMatchObject({ 'error.type': 'ECONNREFUSED', 'server.port': 1 })
  expect(lost!.attributes).not.toHaveProperty('http.response.status_code')
  expect(streamed!.attributes).toMatchObject({ 'http.response.status_code': 200 })
  expect(brewed).toMatchObject({
    name: 'HTTP',
    attributes: { 'http.request.method': '_OTHER', 'http.request.method_original': 'BREW' },
  })
})
test('the duration of each request is measured in seconds', async () => {
  const { url } = await serve((_, response, count) => json(response, {}, count === 1 ? 404 : 200))
  const network = open(url)
  await failure(network.http(url).json({ method: 'GET', path: 'x' }, anything), 'not_found')
  await network.http(url).json({ method: 'GET', path: 'x' }, anything)
  await network.http(url).json({ method: 'GET', path: 'y' }, anything)
  const [metric, ...others] = await durations()
  expect(others).toEqual([])
  expect(metric!.descriptor).toMatchObject({ name: 'http.client.request.duration', unit: 's' })
  const common = {
    'http.request.method': 'GET',
    'server.address': '127.0.0.1',
    'server.port': Number(new URL(url).port),
    'url.scheme': 'http',
  }
  const points = metric!.dataPoints as {
    attributes: object
    value: { count: number; sum: number; buckets: { boundaries: number[] } }
  }[]
  expect(points.map(({ attributes, value }) => [attributes, value.count])).toEqual([
    [{ ...common, 'http.response.status_code': 404, 'error.type': '404' }, 1],
    [{ ...common, 'http.response.status_code': 200 }, 2],
  ])
  for (const { value } of points) {
    expect(value.buckets.boundaries.slice(0, 3)).toEqual([0.005, 0.01, 0.025])
    expect(value.sum).toBeGreaterThan(0)
    expect(value.sum).toBeLessThan(10)
  }
})
test('the trace is not carried on to the hosts of tokens', async () => {
  const api = await serve((_, response) => json(response, {}))
  const issuer = await serve((_, response) => json(response, {}))
  const network = open(api.url, {
    tokenHosts: [issuer.url],
    authorizer: (http) => ({
      authorize: async () => {
        await http(issuer.url).json({ method: 'POST', path: 'token' }, anything)
      },
    }),
  })
  await network.http(api.url).json({ method: 'GET', path: 'x' }, anything)
  expect(spans.getFinishedSpans().map(({ name }) => name)).toEqual(['POST', 'GET'])
  expect(issuer.received[0]!.headers).not.toHaveProperty('traceparent')
  expect(api.received[0]!.headers).toHaveProperty('traceparent')
})
test('traces that throw do not harm a call', async () => {
  trace.disable()
  trace.setGlobalTracerProvider({
    getTracer: () => {
      throw new Error('no')
    },
  })
  const { url } = await serve((_, response) => json(response, { a: 1 }))
  expect(await open(url).http(url).json({ method: 'GET', path: 'x' }, anything)).toEqual({ a: 1 })
})
test('where nobody registers anything, the API is not even loaded', async () => {
  const { url } = await serve((_, response) => json(response, {}))
  const script = `
    import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ load: (address, context, next) => (loaded.push(address), next(address, context)) })
    const { openNetwork } = await import('${new URL('../src/index.ts', import.meta.url).href}')
    const { z } = await import('zod')
    const network = openNetwork({ partner: 'acme', hosts: ['${url}'], config: {} })
    await network.http('${url}').json({ method: 'GET', path: '' }, z.unknown())
    await network.close()
    console.log(loaded.some((address) => address.includes('undici')), loaded.some((address) => address.includes('opentelemetry')))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
  })
  expect(stdout.trim()).toBe('true false')
})
