import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { Authorizer, CallOptions, HttpOptions, IntegrationError, Signable } from '@ecokit/contracts'
import { shown } from './address.ts'
import { decoded, header, readBytes, toHeaders } from './body.ts'
import {
  cancelledError,
  closedError,
  requestError,
  statusFailure,
  timeoutFailure,
  transportFailure,
  type About,
  type Failure,
} from './failure.ts'
import { hostNotAllowed, type Host } from './hosts.ts'
import { redactor, type Redact } from './redact.ts'
import { longestRetryAfterMs, readRetryAfter, waitBefore } from './retry.ts'
import { openStop, type Stop } from './stop.ts'
import type { Clock, NetworkRuntime } from './types.ts'

/** undici's reply. */
export type Raw = Dispatcher.ResponseData

/** What all calls of one connection share. */
export interface Wire {
  readonly partner: string
  readonly hosts: readonly Host[]
  readonly secrets: readonly string[]
  readonly redact: Redact
  readonly clock: Clock
  readonly random: () => number
  readonly attempts: number
  readonly baseMs: number
  readonly maxMs: number
  readonly observe: NetworkRuntime['observe']
  /** The pool; the one that shows our certificate, where there is one, for calls with credentials. */
  readonly dispatcher: (credentials: boolean) => Dispatcher | Promise<Dispatcher>
  readonly stops: Set<Stop>
  readonly closing: AbortController
  requests: number
}

/** One call, ready to be sent as often as it takes. */
export interface Call {
  readonly method: string
  readonly origin: string
  /** With the query. */
  readonly path: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | ReadableStream<Uint8Array> | undefined
  readonly authorizer: Authorizer | undefined
  readonly repeat: 'read' | 'idempotent' | 'never'
  /** The reply's body outlives the call. */
  readonly streamed: boolean
  readonly timeoutMs: number
  readonly explain: HttpOptions['explain']
}

/** One request on the wire; a redirect makes another. */
export interface Hop {
  readonly about: About
  readonly startedAt: number
  /** With the query, without what an authorizer added. */
  readonly url: string
  status: number | undefined
  requestBytes: number
  replyBytes: number
}

const mostRedirects = 5
const errorBodyBytes = 65_536
const redirects = new Set([301, 302, 303, 307, 308])
/** What may follow a redirect to another origin: nothing that could be a credential. */
const harmless = new Set(['accept', 'accept-language', 'range', 'user-agent'])

/** Tells the observer; nothing that it does can harm the call. */
export const report = (wire: Wire, hop: Hop, error: IntegrationError | undefined): void => {
  if (wire.observe === undefined) return
  try {
    wire.observe({
      partner: wire.partner,
      method: hop.about.method,
      host: hop.about.origin.slice(hop.about.origin.indexOf('://') + 3),
      path: wire.redact(hop.about.path),
      ...(hop.status === undefined ? {} : { status: hop.status }),
      ...(error === undefined ? {} : { code: error.code }),
      attempt: hop.about.attempt,
      startedAt: hop.startedAt,
      durationMs: Math.max(0, wire.clock.now() - hop.startedAt),
      requestBytes: hop.requestBytes,
      replyBytes: hop.replyBytes,
    })
  } catch {
    // An observer that fails is its owner's concern.
  }
}

const stopped = (stop: Stop, about: About, timeoutMs: number): Failure | undefined => {
  const why = stop.why()
  if (why === undefined) return undefined
  if (why === 'timeout') return timeoutFailure(about, timeoutMs)
  return { error: why === 'closed' ? closedError(about) : cancelledError(about), again: 'never' }
}
/** The failure that an error means, seen together with what may have ended the attempt. */
export const failureOf = (error: unknown, stop: Stop, about: About, timeoutMs: number): Failure =>
  stopped(stop, about, timeoutMs) ?? transportFailure(about, error, timeoutMs)

const request = (dispatcher: Dispatcher, options: Dispatcher.RequestOptions, stop: Stop): Promise<Raw> =>
  new Promise((resolve, reject) => {
    // undici takes notice of a signal only when it has a socket; nobody should wait for that.
    const give = (): void => reject(new Error('stopped'))
    stop.emitter.once('abort', give)
    dispatcher.request(options, (error, reply) => {
      stop.emitter.off('abort', give)
      if (error !== null) reject(error)
      else if (stop.why() === undefined) resolve(reply)
      else reply.body.on('error', () => {}).destroy()
    })
  })

/** Where one request goes, and what with; a redirect makes another. */
interface Target {
  readonly origin: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** Absent for a host that gets no credentials. */
  readonly authorizer: Authorizer | undefined
}

const sign = async (target: Target, call: Call, options: CallOptions | undefined): Promise<Target> => {
  let headers: Headers | undefined
  let url: URL | undefined
  const signable: Signable = {
    method: call.method,
    body: call.body instanceof ReadableStream ? 'stream' : call.body,
    get headers() {
      return (headers ??= new Headers(target.headers))
    },
    get url() {
      return (url ??= new URL(target.origin + target.path))
    },
  }
  const signing = target.authorizer?.authorize(signable, options)
  if (signing !== undefined) await signing
  if (url !== undefined && url.origin !== target.origin)
    throw new Error('the auth scheme changed the host of the request')
  return {
    ...target,
    path: url === undefined ? target.path : url.pathname + url.search,
    headers: headers === undefined ? target.headers : Object.fromEntries(headers),
  }
}

/** The words of headers and query that the authorizer added: secrets that only it may know. */
const addedSecrets = (target: Target, sent: Target): string[] => {
  const added = Object.entries(sent.headers).flatMap(([name, value]) =>
    target.headers[name] === value ? [] : [value, ...value.split(/[\s,;]+/)],
  )
  if (sent.path !== target.path)
    for (const [name, value] of new URLSearchParams(sent.path.split('?')[1]))
      if (!target.path.includes(`${name}=`)) added.push(value)
  return added.filter((word) => word.length >= 8)
}

async function* counted(body: ReadableStream<Uint8Array>, hop: Hop, timer: NodeJS.Timeout): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    hop.requestBytes += chunk.byteLength
    timer.refresh()
    yield chunk
  }
}

/** What came of one attempt. */
type Outcome<T> = { readonly value: T } | { readonly failure: Failure }
export type Read<T> = (reply: Raw, hop: Hop, stop: Stop) => T | Promise<T>

const attemptOnce = async <T>(
  wire: Wire,
  call: Call,
  attempt: number,
  options: CallOptions | undefined,
  read: Read<T>,
): Promise<Outcome<T>> => {
  const stop = openStop(wire.stops, options?.signal)
  const timer = setTimeout(stop.halt, call.timeoutMs, 'timeout')
  let held = false
  let target: Target = call
  let sent: Target = call
  const begin = (): Hop => ({
    about: {
      partner: wire.partner,
      method: call.method,
      origin: target.origin,
      path: shown(target.path),
      attempt,
      redact: wire.redact,
    },
    startedAt: wire.observe === undefined ? 0 : wire.clock.now(),
    url: target.origin + target.path,
    status: undefined,
    requestBytes: call.body instanceof Uint8Array ? call.body.byteLength : 0,
    replyBytes: 0,
  })
  let hop = begin()
  const hiding = (): About =>
    sent === target ? hop.about : { ...hop.about, redact: redactor([...wire.secrets, ...addedSecrets(target, sent)]) }
  const fail = (failure: Failure): Outcome<T> => {
    report(wire, hop, failure.error)
    return { failure }
  }
  try {
    for (let redirected = 0; ; redirected++) {
      if (wire.closing.signal.aborted) stop.halt('closed')
      if (stop.why() === undefined) sent = target.authorizer === undefined ? target : await sign(target, call, options)
      const early = stopped(stop, hop.about, call.timeoutMs)
      if (early !== undefined) return fail(early)
      const pool = wire.dispatcher(target.authorizer !== undefined)
      const dispatcher = pool instanceof Promise ? await pool : pool
      wire.requests++
      const reply = await request(
        dispatcher,
        {
          origin: target.origin,
          path: sent.path,
          method: call.method as Dispatcher.HttpMethod,
          headers: sent.headers,
          body:
            call.body instanceof ReadableStream ? Readable.from(counted(call.body, hop, timer)) : (call.body ?? null),
          headersTimeout: 0,
          bodyTimeout: call.streamed ? call.timeoutMs : 0,
          signal: stop.emitter,
        },
        stop,
      )
      const status = (hop.status = reply.statusCode)
      const location = redirects.has(status) ? header(reply, 'location') : undefined
      if (location !== undefined) {
        void reply.body.dump()
        const next = follow(wire, hop, call, target, location, redirected)
        report(wire, hop, undefined)
        target = next
        hop = begin()
        continue
      }
      if (status >= 400) {
        const about = hiding()
        const body = await errorText(reply, about.redact)
        return fail(
          stopped(stop, about, call.timeoutMs) ??
            statusFailure(
              about,
              status,
              body,
              readRetryAfter(header(reply, 'retry-after'), wire.clock),
              call.timeoutMs,
              explained(call, reply, body),
            ),
        )
      }
      const value = await read(reply, hop, stop)
      held = call.streamed
      if (!held) report(wire, hop, undefined)
      return { value }
    }
  } catch (error) {
    return fail(failureOf(error, stop, hiding(), call.timeoutMs))
  } finally {
    clearTimeout(timer)
    if (!held) stop.release()
  }
}

/** Where a redirect leads: with credentials within the origin, without to another declared host, and nowhere else. */
const follow = (wire: Wire, hop: Hop, call: Call, target: Target, location: string, redirected: number): Target => {
  const status = hop.status ?? 0
  const refuse = (happened: string): never => {
    throw requestError(hop.about, 'invalid_reply', happened, 'Correct the address in the config', { status })
  }
  const next = URL.parse(location, target.origin + target.path)
  if (next === null || !/^https?:$/.test(next.protocol)) return refuse(`was answered with ${status} and no usable address`)
  if (!wire.hosts.some(({ origin }) => origin === next.origin))
    throw hostNotAllowed(wire.partner, next, wire.hosts, `${call.method} ${hop.about.path} was sent on with ${status}:`)
  if (call.method !== 'GET' && call.method !== 'HEAD')
    return refuse(`was answered with ${status}: it has moved to ${next.origin}${next.pathname}`)
  if (redirected >= mostRedirects) return refuse(`was sent on more than ${mostRedirects} times`)
  const path = next.pathname + next.search
  if (next.origin === target.origin) return { ...target, path }
  const headers = Object.fromEntries(Object.entries(target.headers).filter(([name]) => harmless.has(name)))
  return { origin: next.origin, path, headers, authorizer: undefined }
}

const errorText = async (reply: Raw, redact: Redact): Promise<string> => {
  try {
    const body = await decoded(reply)
    const { bytes } = await readBytes(body, errorBodyBytes)
    return redact(bytes.toString('utf8'))
  } catch {
    return ''
  }
}
const explained = (call: Call, reply: Raw, body: string): ReturnType<NonNullable<HttpOptions['explain']>> => {
  try {
    return call.explain?.({ status: reply.statusCode, headers: toHeaders(reply), body })
  } catch {
    // A body that the connector cannot read must not hide the failure itself.
    return undefined
  }
}

const renew = async (wire: Wire, call: Call, attempt: number, options: CallOptions | undefined): Promise<boolean> => {
  try {
    return (await call.authorizer?.refused?.(options)) ?? false
  } catch (error) {
    const { partner, redact } = wire
    const about = { partner, method: call.method, origin: call.origin, path: shown(call.path), attempt, redact }
    throw transportFailure(about, error, call.timeoutMs).error
  }
}

/** Sends a call, again where that is safe, and reads its reply; throws IntegrationErrors only. */
export const perform = async <T>(
  wire: Wire,
  call: Call,
  options: CallOptions | undefined,
  read: Read<T>,
): Promise<T> => {
  const signal = options?.signal
  let renewed = false
  for (let attempt = 1; ; attempt++) {
    const outcome = await attemptOnce(wire, call, attempt, options, read)
    if ('value' in outcome) return outcome.value
    const { failure } = outcome
    const stream = call.body instanceof ReadableStream
    if (failure.status === 401 && !renewed && !stream && call.authorizer?.refused !== undefined) {
      renewed = true
      if (await renew(wire, call, attempt, options)) continue
    }
    const mayRepeat =
      !stream &&
      attempt < wire.attempts &&
      (failure.retryAfterMs ?? 0) <= longestRetryAfterMs &&
      (failure.again === 'safe' ? call.repeat !== 'never' : failure.again === 'reads' && call.repeat === 'read')
    if (!mayRepeat) {
      if (call.body instanceof ReadableStream && !call.body.locked) await call.body.cancel().catch(() => {})
      throw failure.error
    }
    const ms = waitBefore(attempt, failure.retryAfterMs, wire.random, wire.baseMs, wire.maxMs)
    const ended = signal === undefined ? wire.closing.signal : AbortSignal.any([wire.closing.signal, signal])
    try {
      await wire.clock.sleep(ms, ended)
    } catch (error) {
      if (!ended.aborted) throw error
    }
  }
}
