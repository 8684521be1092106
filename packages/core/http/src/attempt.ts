import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { CallOptions, HttpOptions, IntegrationError } from '@ecokit/contracts'
import { shown } from './address.ts'
import { decoded, header, readBytes, toHeaders } from './body.ts'
import { cancelledError, closedError, statusFailure, timeoutFailure, transportFailure } from './failure.ts'
import type { About, Failure } from './failure.ts'
import { redactor, type Redact } from './redact.ts'
import { readRetryAfter } from './retry.ts'
import { openStop, type Stop } from './stop.ts'
import { addedSecrets, follow, sign } from './target.ts'
import type { Call, Hop, Raw, Target, Wire } from './wire.ts'

const errorBodyBytes = 65_536
const redirects = new Set([301, 302, 303, 307, 308])

/** What came of one attempt. */
export type Outcome<T> = { readonly value: T } | { readonly failure: Failure }
/** Turns a reply below 400 into what the caller gets. */
export type Read<T> = (reply: Raw, hop: Hop, stop: Stop) => T | Promise<T>

/** Tells the observer; nothing that it does can harm the call. */
export const report = (wire: Wire, hop: Hop, error?: IntegrationError): void => {
  if (wire.observe === undefined) return
  try {
    wire.observe({
      partner: wire.partner,
      method: hop.about.method,
      host: hop.about.origin.slice(hop.about.origin.indexOf('//') + 2),
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
/** What an error means, seen together with what may have ended the attempt. */
export const failureOf = (error: unknown, stop: Stop, about: About, timeoutMs: number): Failure =>
  stopped(stop, about, timeoutMs) ?? transportFailure(about, error, timeoutMs)

const dispatch = (dispatcher: Dispatcher, options: Dispatcher.RequestOptions, stop: Stop): Promise<Raw> =>
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

async function* counted(body: ReadableStream<Uint8Array>, hop: Hop, timer: NodeJS.Timeout): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    hop.requestBytes += chunk.byteLength
    // The time allowed is for the answer; as long as the body moves, nobody waits for it.
    timer.refresh()
    yield chunk
  }
}

const errorText = async (reply: Raw, hop: Hop, redact: Redact): Promise<string> => {
  try {
    const { bytes } = await readBytes(await decoded(reply, hop.about.method), errorBodyBytes)
    hop.replyBytes = bytes.length
    return redact(bytes.toString('utf8'))
  } catch {
    return ''
  }
}
const explain = (call: Call, reply: Raw, body: string): ReturnType<NonNullable<HttpOptions['explain']>> => {
  try {
    return call.explain?.({ status: reply.statusCode, headers: toHeaders(reply), body })
  } catch {
    // A body that the connector cannot read must not hide the failure itself.
    return undefined
  }
}

const beginHop = (wire: Wire, call: Call, target: Target, attempt: number): Hop => ({
  about: {
    partner: wire.partner,
    method: call.method,
    origin: target.origin,
    path: shown(target.path),
    attempt,
    redact: wire.redact,
  },
  url: target.origin + target.path,
  startedAt: wire.observe === undefined ? 0 : wire.clock.now(),
  status: undefined,
  requestBytes: call.body instanceof Uint8Array ? call.body.byteLength : 0,
  replyBytes: 0,
})

/** Sends a call once, follows its redirects and reads its reply. Never throws. */
export const attemptOnce = async <T>(
  wire: Wire,
  call: Call,
  attempt: number,
  options: CallOptions | undefined,
  read: Read<T>,
): Promise<Outcome<T>> => {
  const { timeoutMs } = call
  const stop = openStop(wire.stops, options?.signal)
  const timer = setTimeout(stop.halt, timeoutMs, 'timeout')
  let held = false
  let target: Target = call
  let sent: Target = call
  let hop = beginHop(wire, call, target, attempt)
  const hiding = (): About =>
    sent === target ? hop.about : { ...hop.about, redact: redactor([...wire.secrets, ...addedSecrets(target, sent)]) }
  const fail = (failure: Failure): Outcome<T> => {
    report(wire, hop, failure.error)
    return { failure }
  }
  try {
    for (let redirected = 0; ; redirected++) {
      if (wire.closing.signal.aborted) stop.halt('closed')
      if (target.authorizer !== undefined && stop.why() === undefined) {
        sent = await sign(target, call, options)
        timer.refresh()
      } else sent = target
      const early = stopped(stop, hop.about, timeoutMs)
      if (early !== undefined) return { failure: early }
      const pool = wire.dispatcher(target.authorizer !== undefined)
      const dispatcher = pool instanceof Promise ? await pool : pool
      wire.requests++
      const reply = await dispatch(
        dispatcher,
        {
          origin: target.origin,
          path: sent.path,
          method: call.method,
          headers: sent.headers,
          body:
            call.body instanceof ReadableStream ? Readable.from(counted(call.body, hop, timer)) : (call.body ?? null),
          // Our own timer sees to the headers, and to the body too unless that is streamed.
          headersTimeout: 0,
          bodyTimeout: call.streamed ? timeoutMs : 0,
          signal: stop.emitter,
        },
        stop,
      )
      const status = (hop.status = reply.statusCode)
      const location = redirects.has(status) ? header(reply, 'location') : undefined
      if (location !== undefined) {
        void reply.body.dump()
        const next = follow(wire, hop, call, target, location, redirected)
        report(wire, hop)
        target = next
        hop = beginHop(wire, call, target, attempt)
        continue
      }
      if (status >= 400) {
        const about = hiding()
        const body = await errorText(reply, hop, about.redact)
        const retryAfterMs = readRetryAfter(header(reply, 'retry-after'), wire.clock)
        const why = stop.why()
        if (why !== undefined && why !== 'timeout') return fail(failureOf(undefined, stop, about, timeoutMs))
        return fail(statusFailure(about, status, body, retryAfterMs, timeoutMs, explain(call, reply, body)))
      }
      const value = await read(reply, hop, stop)
      held = call.streamed
      if (!held) report(wire, hop)
      return { value }
    }
  } catch (error) {
    return fail(failureOf(error, stop, hiding(), timeoutMs))
  } finally {
    clearTimeout(timer)
    if (!held) stop.release()
  }
}
