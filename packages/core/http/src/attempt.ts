import { Readable } from 'node:stream'
import type { CallOptions, HttpOptions, IntegrationError } from '@ecokit/contracts'
import { shown } from './address.ts'
import { header, inflated, toHeaders } from './body.ts'
import { exchange, type Answer, type Collected, type ReplyHeaders } from './exchange.ts'
import { cancelledError, closedError, statusFailure, timeoutFailure, transportFailure } from './failure.ts'
import type { About, Failure } from './failure.ts'
import { redactor, type Redact } from './redact.ts'
import { readRetryAfter } from './retry.ts'
import { openStop, type Stop } from './stop.ts'
import { addedSecrets, follow, sign } from './target.ts'
import type { Call, Hop, Target, Wire } from './wire.ts'

const errorTextBytes = 65_536
const redirects = new Set([301, 302, 303, 307, 308])

const isRedirect = (status: number, headers: ReplyHeaders): boolean =>
  redirects.has(status) && headers['location'] !== undefined

/** What came of one attempt. */
export type Outcome<T> = { readonly value: T } | { readonly failure: Failure }
/** Turns a reply below 400 into what the caller gets. */
export type Read<T> = (answer: Answer, hop: Hop, stop: Stop) => T | Promise<T>

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

async function* counted(body: ReadableStream<Uint8Array>, hop: Hop, timer: NodeJS.Timeout): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    hop.requestBytes += chunk.byteLength
    // The time allowed is for the answer; as long as the body moves, nobody waits for it.
    timer.refresh()
    yield chunk
  }
}

const uploadOf = (body: ReadableStream<Uint8Array>, hop: Hop, timer: NodeJS.Timeout): Readable =>
  Readable.from(counted(body, hop, timer)).on('error', () => {})

/** The words of an error's body, as far as it came. */
const errorText = async (answer: Collected, hop: Hop, redact: Redact, stop: Stop): Promise<string> => {
  try {
    const { bytes } = await inflated(answer, errorTextBytes, stop)
    hop.replyBytes = bytes.length
    return redact(bytes.toString('utf8'))
  } catch {
    return ''
  }
}
const explain = (call: Call, answer: Answer, body: string): ReturnType<NonNullable<HttpOptions['explain']>> => {
  try {
    return call.explain?.({ status: answer.status, headers: toHeaders(answer.headers), body })
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
  let upload: Readable | undefined
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
      const pool = wire.dispatcher(target.origin, target.certificate)
      const dispatcher = pool instanceof Promise ? await pool : pool
      if (call.body instanceof ReadableStream) upload = uploadOf(call.body, hop, timer)
      wire.counts.requests++
      const answer = await exchange(
        dispatcher,
        {
          origin: target.origin,
          path: sent.path,
          method: call.method,
          headers: sent.headers,
          body: upload ?? (call.body as Uint8Array | undefined) ?? null,
          // Our own timer sees to the headers, and to the body too unless that is streamed.
          headersTimeout: 0,
          bodyTimeout: call.streamed ? timeoutMs : 0,
        },
        {
          limit: call.limit,
          streamed: (status, headers) => call.streamed && status < 400 && !isRedirect(status, headers),
        },
        stop,
      )
      const { status, headers } = answer
      hop.status = status
      const why = stop.why()
      if (why === 'cancelled' || why === 'closed') return fail(failureOf(undefined, stop, hop.about, timeoutMs))
      if (isRedirect(status, headers)) {
        const next = follow(wire, hop, call, target, header(headers, 'location') ?? '', redirected)
        report(wire, hop)
        target = next
        hop = beginHop(wire, call, target, attempt)
        continue
      }
      if (status >= 400 && 'bytes' in answer) {
        const about = hiding()
        const body = await errorText(answer, hop, about.redact, stop)
        const retryAfterMs = readRetryAfter(header(headers, 'retry-after'), wire.clock)
        return fail(statusFailure(about, status, body, retryAfterMs, timeoutMs, explain(call, answer, body)))
      }
      const value = await read(answer, hop, stop)
      held = call.streamed
      if (!held) report(wire, hop)
      return { value }
    }
  } catch (error) {
    upload?.destroy()
    return fail(failureOf(error, stop, hiding(), timeoutMs))
  } finally {
    clearTimeout(timer)
    if (!held) stop.release()
  }
}
