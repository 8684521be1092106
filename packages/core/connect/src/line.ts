import { AsyncLocalStorage } from 'node:async_hooks'
import { firstIssue, integrationError, isIntegrationError, toIntegrationError } from '@ecokit/contracts'
import type { CallOptions, Effect, ErrorCode, IntegrationError } from '@ecokit/contracts'
import type { z } from 'zod'
import { redactor } from '@ecokit/http'
import type { Redact } from '@ecokit/http'
import type { CallEvent, Runtime } from './runtime.ts'

/** What a call is, for its errors and its event. */
export interface Call {
  readonly kind: CallEvent['kind']
  readonly name: string
  readonly effect: Effect
}

interface Tally {
  requests: number
}

/** Counts and times one call for the observer. */
interface Watch {
  readonly run: <T>(work: () => T) => T
  readonly end: (code: ErrorCode | undefined, records?: number) => void
}

/** What every wrapped call of one connection shares. */
export interface Line {
  readonly partner: string
  /** Aborted, with the error that says so, when the connection is closed. */
  readonly closed: AbortSignal
  /** Starts the watch of a call; undefined where nobody observes, which then costs nothing. */
  watch(call: Call): Watch | undefined
  /** Whatever a connector threw, as a typed error without secrets that names the partner and the call. */
  failure(thrown: unknown, call: Call, signal?: AbortSignal): IntegrationError
}

/** How a call is made: `accept` checks what goes in, `verify` what comes out; both throw what they refuse. */
export interface Steps<In, Value, Out> {
  readonly accept: (input: unknown) => In
  readonly perform: (input: In, signal: AbortSignal) => Value
  readonly verify: (value: Awaited<Value> extends AsyncIterable<infer Item> ? Item : Awaited<Value>) => Out
  /** How many records one answer holds. */
  readonly count?: (out: Out) => number
  /** True where the answer outlives the call and still follows its signal: a stream of bytes, a writer. */
  readonly lasting?: () => boolean
}

interface Following {
  readonly signal: AbortSignal
  /** Must be called when the call is over. */
  readonly release?: () => void
}

/** One signal for two. AbortSignal.any does the same at some ten times the cost, so it serves only where nobody can say when the call is over. */
const follow = (closed: AbortSignal, own: AbortSignal | undefined, lasting?: () => boolean): Following => {
  if (own === undefined) return { signal: closed }
  if (lasting?.() === true) return { signal: AbortSignal.any([closed, own]) }
  const controller = new AbortController()
  const abort = () => controller.abort(closed.aborted ? closed.reason : own.reason)
  if (closed.aborted || own.aborted) abort()
  closed.addEventListener('abort', abort)
  own.addEventListener('abort', abort)
  return {
    signal: controller.signal,
    release: () => {
      closed.removeEventListener('abort', abort)
      own.removeEventListener('abort', abort)
    },
  }
}

/** Wraps a call that answers once. The only wrapper there is around it: closing, signal, checks, timing and errors in one pass. */
export const single =
  <In, Out, Value>(line: Line, call: Call, steps: Steps<In, Promise<Value>, Out>) =>
  async (input: unknown, options?: CallOptions): Promise<Out> => {
    const watch = line.watch(call)
    const { signal, release } = follow(line.closed, options?.signal, steps.lasting)
    try {
      signal.throwIfAborted()
      const accepted = steps.accept(input)
      const value =
        watch === undefined
          ? await steps.perform(accepted, signal)
          : await watch.run(() => steps.perform(accepted, signal))
      const out = steps.verify(value as never)
      watch?.end(undefined, steps.count?.(out))
      return out
    } catch (thrown) {
      const error = line.failure(thrown, call, signal)
      watch?.end(error.code)
      throw error
    } finally {
      release?.()
    }
  }

/** Wraps a call that answers with a sequence; an early `break` ends the source too. */
export const sequence = <In, Out, Item>(line: Line, call: Call, steps: Steps<In, AsyncIterable<Item>, Out>) =>
  async function* (input: unknown, options?: CallOptions): AsyncGenerator<Out, void, undefined> {
    const watch = line.watch(call)
    const run = watch?.run ?? (<T>(work: () => T): T => work())
    const { signal, release } = follow(line.closed, options?.signal)
    let source: AsyncIterator<Item> | undefined
    let code: ErrorCode | undefined
    let records = 0
    try {
      signal.throwIfAborted()
      const accepted = steps.accept(input)
      const iterator = run(() => steps.perform(accepted, signal)[Symbol.asyncIterator]())
      source = iterator
      for (;;) {
        const next = await run(() => iterator.next())
        if (next.done === true) {
          source = undefined
          return
        }
        const out = steps.verify(next.value)
        records += steps.count?.(out) ?? 1
        yield out
        signal.throwIfAborted()
      }
    } catch (thrown) {
      const error = line.failure(thrown, call, signal)
      code = error.code
      throw error
    } finally {
      const left = source
      // What a source throws while it tidies up is no news to a caller who has left, or who already has an error.
      if (left?.return !== undefined) await Promise.resolve(run(() => left.return?.())).catch(() => undefined)
      release?.()
      watch?.end(code, records)
    }
  }

const isZodError = (value: unknown): value is z.ZodError =>
  value instanceof Error && 'issues' in value && Array.isArray(value.issues)

const describe = (thrown: unknown, partner: string, call: Call): IntegrationError => {
  if (isIntegrationError(thrown)) return thrown
  if (isZodError(thrown)) {
    const { field, message } = firstIssue(thrown)
    return integrationError('invalid_reply', {
      partner,
      what: `${call.name}: the partner answered something unexpected${field === '' ? '' : ` at ${field}`}: ${message}`,
      next: 'See whether the connector has a newer version',
      details: { field },
    })
  }
  const error = toIntegrationError(thrown, partner)
  if (error.code !== 'internal') return error
  return integrationError('internal', {
    partner,
    what: `${call.name} failed inside the connector: ${error.message.slice(partner.length + 2)}`,
    next: 'Report it to the maker of the connector',
    details: {},
  })
}

/** Gives an error its partner and takes the secrets out of it; the common case, nothing to change, gives the error itself. */
const finish = (error: IntegrationError, partner: string, redact: Redact): IntegrationError => {
  const details = Object.fromEntries(
    Object.entries(error.details).map(([key, value]: [string, unknown]) => [
      key,
      typeof value === 'string' ? redact(value) : value,
    ]),
  )
  const message = redact(error.message)
  const safe =
    message === error.message && error.cause === undefined && JSON.stringify(details) === JSON.stringify(error.details)
  if (safe && error.partner !== undefined) return error
  const { code, retryable } = error
  const finished = integrationError(code, { partner: error.partner ?? partner, what: message, details, retryable })
  if (error.partner !== undefined) finished.message = message
  return finished
}

export const openLine = (about: {
  readonly partner: string
  readonly closed: AbortSignal
  readonly secrets: readonly string[]
  readonly runtime: Runtime
}): Line & { readonly counted: Runtime; readonly hide: (secrets: readonly string[]) => void } => {
  const { partner, closed, runtime } = about
  let { secrets } = about
  let redact: Redact | undefined
  const { observer } = runtime
  const now = () => runtime.clock?.now() ?? Date.now()
  const tallies = observer === undefined ? undefined : new AsyncLocalStorage<Tally>()
  const counted: Runtime =
    tallies === undefined
      ? runtime
      : {
          ...runtime,
          observe: (exchange) => {
            const tally = tallies.getStore()
            if (tally !== undefined) tally.requests += 1
            runtime.observe?.(exchange)
          },
        }
  return {
    partner,
    closed,
    counted,
    hide: (more) => {
      secrets = [...secrets, ...more]
      redact = undefined
    },
    watch: (call) => {
      if (observer === undefined || tallies === undefined) return undefined
      const tally: Tally = { requests: 0 }
      const startedAt = now()
      const started = performance.now()
      return {
        run: (work) => tallies.run(tally, work),
        end: (code, records) => {
          try {
            observer({
              partner,
              ...call,
              startedAt,
              durationMs: performance.now() - started,
              requests: tally.requests,
              ...(code !== undefined && { code }),
              ...(records !== undefined && { records }),
            })
          } catch {
            // An observer that fails must not fail the call that it observes.
          }
        },
      }
    },
    failure: (thrown, call, signal) => {
      const fromAbort = signal?.aborted === true && (!isIntegrationError(thrown) || thrown.code === 'cancelled')
      if (fromAbort && closed.aborted) return closed.reason as IntegrationError
      if (fromAbort && !isIntegrationError(thrown))
        return integrationError('cancelled', { partner, what: `${call.name} was cancelled`, details: {} })
      return finish(describe(thrown, partner, call), partner, (redact ??= redactor(secrets)))
    },
  }
}
