import { Readable } from 'node:stream'
import { isIntegrationError, type CallOptions, type HttpOptions } from '@ecokit/contracts'
import type { Verdict } from './breaker.ts'
import { shown } from './address.ts'
import { header, inflated, toHeaders } from './body.ts'
import { exchange, type Answer, type Collected, type ReplyHeaders } from './exchange.ts'
import {
  cancelledError,
  closedError,
  deadlineFailure,
  statusFailure,
  timeoutFailure,
  transportFailure,
} from './failure.ts'
import type { About, Failure } from './failure.ts'
import { askedToWait, exhaustedFor } from './limits.ts'
import { redactor, type Redact } from './redact.ts'
import { note, report, verdictOf } from './report.ts'
import { bounded, type Stop } from './stop.ts'
import { addedSecrets, follow, sign } from './target.ts'
import { telemetry, type Telemetry } from './telemetry.ts'
import type { Call, Hop, Target, Wire } from './wire.ts'

const errorTextBytes = 65_536
const redirects = new Set([301, 302, 303, 307, 308])

const holdAll = (wire: Wire, waitMs: number): void => {
  if (!(waitMs > 0)) return
  wire.guard.hold(waitMs)
  note(wire, {
    level: 'info',
    event: 'hold',
    message: `the partner asks that nothing be sent for ${Math.ceil(waitMs)} ms`,
    waitMs,
  })
}
const isRedirect = (status: number, headers: ReplyHeaders): boolean =>
  redirects.has(status) && headers['location'] !== undefined

/** What came of one attempt. */
export type Outcome<T> = { readonly value: T } | { readonly failure: Failure }
/** Turns a reply below 400 into what the caller gets. */
export type Read<T> = (answer: Answer, hop: Hop, stop: Stop) => T | Promise<T>

const stopped = (stop: Stop, about: About, call: Call, deadlineMs: number): Failure | undefined => {
  const why = stop.why()
  if (why === undefined) return undefined
  if (why === 'timeout') return timeoutFailure(about, call.timeoutMs)
  if (why === 'deadline') return deadlineFailure(about, deadlineMs)
  return { error: why === 'closed' ? closedError(about) : cancelledError(about), again: 'never' }
}
/** What an error means, seen together with what may have ended the call. */
export const failureOf = (error: unknown, stop: Stop, about: About, call: Call, deadlineMs = 0): Failure =>
  stopped(stop, about, call, deadlineMs) ?? transportFailure(about, error, call.timeoutMs)

async function* counted(body: ReadableStream<Uint8Array>, hop: Hop, moved: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    hop.requestBytes += chunk.byteLength
    // The time allowed is for the answer; as long as the body moves, nobody waits for it.
    moved()
    yield chunk
  }
}

const uploadOf = (body: ReadableStream<Uint8Array>, hop: Hop, moved: () => void): Readable =>
  Readable.from(counted(body, hop, moved)).on('error', () => {})

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

export const beginHop = (wire: Wire, call: Call, target: Target, attempt: number): Hop => {
  const seen = wire.observe !== undefined || wire.log !== undefined
  return {
    about: {
      partner: wire.partner,
      method: call.method,
      origin: target.origin,
      path: shown(target.path),
      attempt,
      redact: wire.redact,
    },
    url: target.origin + target.path,
    seen,
    startedAt: seen ? wire.clock.now() : 0,
    ticks: 0,
    sent: target,
    watched: undefined,
    admitted: 0,
    status: undefined,
    requestBytes: call.body instanceof Uint8Array ? call.body.byteLength : 0,
    replyBytes: 0,
  }
}

/** Begins the span of a request, where somebody registered OpenTelemetry; gives the headers that carry the trace on. */
const watch = (
  traces: Telemetry,
  wire: Wire,
  hop: Hop,
  path: string,
  resends: number,
): Readonly<Record<string, string>> => {
  const { method, origin } = hop.about
  hop.seen = true
  hop.startedAt ||= wire.clock.now()
  hop.ticks = wire.timer.ticks()
  try {
    const propagate = wire.traced.some((host) => host.origin === origin)
    hop.watched = traces.begin({ method, origin, path, redact: wire.redact, resends, propagate })
    return hop.watched.headers
  } catch {
    // A trace that fails is its owner's concern.
    return {}
  }
}

/** What an attempt works with; `deadline` is a time of the clock. */
export interface Trial {
  readonly attempt: number
  readonly deadline: number
  readonly deadlineMs: number
  readonly stop: Stop
  readonly options: CallOptions | undefined
}

/** Waits for its turn, sends a call once, follows its redirects and reads its reply. Never throws. */
export const attemptOnce = async <T>(wire: Wire, call: Call, trial: Trial, read: Read<T>): Promise<Outcome<T>> => {
  const { guard, timer } = wire
  const { attempt, deadline, deadlineMs, stop, options } = trial
  const { timeoutMs } = call
  let entered = false
  let asked = false
  let held = false
  let upload: Readable | undefined
  let target: Target = call
  let sent: Target = call
  let hop = beginHop(wire, call, target, attempt)
  const hiding = (): About =>
    sent === target ? hop.about : { ...hop.about, redact: redactor([...wire.secrets, ...addedSecrets(target, sent)]) }
  let allowedMs = timeoutMs
  let admitted = 0
  let verdict: Verdict = 'unknown'
  const allow = (): void => {
    const left = deadline - wire.clock.now()
    // As long as a body is sent that nobody can send again, only what waits for an answer is counted.
    const whole = left >= timeoutMs || (call.deadlineMs === undefined && call.body instanceof ReadableStream)
    if (left <= 0 && !whole) stop.halt('deadline')
    else timer.give(stop, whole ? timeoutMs : left, whole ? 'timeout' : 'deadline')
    allowedMs = whole ? timeoutMs : left
  }
  const fail = (failure: Failure): Outcome<T> => {
    // What was cut short by a deadline that had nearly come says nothing of the partner.
    const short = stop.why() === 'deadline' && allowedMs * 2 < Math.min(timeoutMs, deadlineMs)
    if (asked && !short) verdict = verdictOf(failure, hop)
    report(wire, hop, failure.error)
    return { failure }
  }
  try {
    for (let redirected = 0; ; redirected++) {
      if (wire.closing.signal.aborted) stop.halt('closed')
      const early = stopped(stop, hop.about, call, deadlineMs)
      if (early !== undefined) return { failure: early }
      const turn = redirected === 0 ? guard.enter(stop, deadline) : guard.again(stop, deadline)
      if (typeof turn === 'object') {
        timer.give(stop, deadline - wire.clock.now(), 'deadline')
        const got = await turn
        if (redirected === 0) admitted = got
        if (hop.seen) hop.startedAt = wire.clock.now()
      } else if (turn !== undefined) admitted = turn
      entered = true
      hop.admitted = admitted
      allow()
      if (target.authorizer !== undefined) {
        const signing = sign(target, call, options)
        if (signing instanceof Promise) {
          // Tokens may have to be fetched: nothing is sent yet, so only the deadline counts.
          sent = await bounded(timer, stop, deadline - wire.clock.now(), signing)
          allow()
        } else sent = signing
      } else sent = target
      hop.sent = sent
      const late = stopped(stop, hop.about, call, deadlineMs)
      if (late !== undefined) return { failure: late }
      const pool = wire.dispatcher(target.origin, target.certificate)
      const dispatcher = pool instanceof Promise ? await pool : pool
      if (call.body instanceof ReadableStream) upload = uploadOf(call.body, hop, allow)
      const traces = telemetry()
      const headersSent =
        traces === undefined
          ? sent.headers
          : {
              ...sent.headers,
              ...watch(
                traces instanceof Promise ? await traces : traces,
                wire,
                hop,
                target.path,
                attempt - 1 + redirected,
              ),
            }
      // The loading of what is used for the first time takes long enough to be called off in.
      if (stop.why() !== undefined) throw new Error('stopped')
      wire.counts.requests++
      asked = true
      const answer = await exchange(
        dispatcher,
        {
          origin: target.origin,
          path: sent.path,
          method: call.method,
          headers: headersSent,
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
      if (why === 'cancelled' || why === 'closed') return fail(failureOf(undefined, stop, hop.about, call, deadlineMs))
      if (isRedirect(status, headers)) {
        const next = follow(wire, hop, call, target, header(headers, 'location') ?? '', redirected)
        report(wire, hop)
        target = next
        asked = false
        hop = beginHop(wire, call, target, attempt)
        continue
      }
      if (status >= 400 && 'bytes' in answer) {
        const about = hiding()
        const body = await errorText(answer, hop, about.redact, stop)
        const now = wire.clock.now()
        const retryAfterMs = askedToWait(status, headers, now)
        const waits = status === 429 || status === 503 ? retryAfterMs : exhaustedFor(headers, now)
        if (waits !== undefined) holdAll(wire, waits)
        return fail(statusFailure(about, status, body, retryAfterMs, timeoutMs, explain(call, answer, body)))
      }
      const exhausted = exhaustedFor(headers, wire.clock.now())
      if (exhausted !== undefined) holdAll(wire, exhausted)
      const value = await read(answer, hop, stop)
      verdict = 'answered'
      held = call.streamed
      if (!held) report(wire, hop)
      return { value }
    }
  } catch (error) {
    upload?.destroy()
    if (!entered && isIntegrationError(error)) return { failure: { error, again: 'never', held: true } }
    if (!entered) return { failure: failureOf(error, stop, hop.about, call, deadlineMs) }
    return fail(failureOf(error, stop, hiding(), call, deadlineMs))
  } finally {
    stop.dueAt = Infinity
    if (entered) {
      guard.judge(admitted, verdict)
      if (!held) guard.leave()
    }
  }
}
