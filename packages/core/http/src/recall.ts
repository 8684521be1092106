import type { CallOptions } from '@ecokit/contracts'
import { beginHop, failureOf, type Read } from './attempt.ts'
import type { Cache, Key } from './cache.ts'
import type { Answer, Collected } from './exchange.ts'
import { conditionsOf, directivesOf, fits, isFresh, renewed, toKeep, type Kept } from './freshness.ts'
import { perform } from './perform.ts'
import { bounded, openStop } from './stop.ts'
import { sign } from './target.ts'
import type { Call, Target, Wire } from './wire.ts'

/** Headers with which a caller says that it sees to this itself, or wants a part only. */
const ownConcern = ['if-none-match', 'if-modified-since', 'if-match', 'if-unmodified-since', 'if-range', 'range']

const mayKeep = (call: Call): boolean =>
  call.method === 'GET' &&
  call.repeat === 'read' &&
  !call.streamed &&
  call.body === undefined &&
  ownConcern.every((name) => call.headers[name] === undefined) &&
  !directivesOf(call.headers['cache-control']).has('no-store')

/** A copy: what a call answers belongs to the caller, who may write over it. */
const answerOf = ({ headers, bytes }: Kept): Collected => ({
  status: 200,
  headers,
  bytes: Buffer.from(bytes),
  whole: true,
})

/** Instead of a reply that may not be used. */
const notOurs: unique symbol = Symbol('not ours')

interface Found {
  readonly key: Key
  readonly kept: Kept | undefined
}
/** What is kept for this call with the credentials that it would be sent with now. */
const look = async (cache: Cache, call: Call, options: CallOptions | undefined): Promise<Found | undefined> => {
  let sent: Target
  try {
    sent = call.authorizer === undefined ? call : await sign(call, call, options)
  } catch {
    // The call itself will meet it again and say so.
    return undefined
  }
  const key = await cache.key(call, sent)
  const kept = await cache.get(key)
  const usable = kept !== undefined && kept.bytes.length <= call.limit && fits(kept, sent.headers)
  return { key, kept: usable ? kept : undefined }
}
/** The same, for no longer than the call may take. */
const find = async (
  wire: Wire,
  cache: Cache,
  call: Call,
  options: CallOptions | undefined,
): Promise<Found | undefined> => {
  const deadlineMs = call.deadlineMs ?? wire.guard.policy().deadlineMs
  const stop = openStop(wire.stops, options?.signal, wire.closed)
  try {
    return await bounded(wire.timer, stop, deadlineMs, look(cache, call, options))
  } catch (error) {
    throw failureOf(error, stop, beginHop(wire, call, call, 1).about, call, deadlineMs).error
  } finally {
    stop.release()
  }
}

/** Sends a call unless the reply that is kept may be used (RFC 9111); asks whether that is still right where it is old. */
export const recall = <T>(wire: Wire, call: Call, options: CallOptions | undefined, read: Read<T>): Promise<T> =>
  wire.cache === undefined ? perform(wire, call, options, read) : recalled(wire, wire.cache, call, options, read)

const recalled = async <T>(
  wire: Wire,
  cache: Cache,
  call: Call,
  options: CallOptions | undefined,
  read: Read<T>,
): Promise<T> => {
  const { clock } = wire
  if (!mayKeep(call)) {
    try {
      return await perform(wire, call, options, read)
    } finally {
      if (call.repeat !== 'read') cache.wrote(call.origin)
    }
  }
  const begunAt = clock.now()
  const found = await find(wire, cache, call, options)
  const kept = found?.kept
  const asked = directivesOf(call.headers['cache-control'])
  const ended = options?.signal?.aborted === true || wire.closing.signal.aborted
  if (
    kept !== undefined &&
    !ended &&
    kept.requestedAt > cache.wroteAt(call.origin) &&
    isFresh(kept, clock.now(), asked)
  ) {
    const hop = beginHop(wire, call, call, 1)
    hop.status = 200
    const stop = openStop(wire.stops, options?.signal, undefined)
    try {
      return await read(answerOf(kept), hop, stop)
    } finally {
      stop.release()
    }
  }
  const conditions = kept === undefined ? {} : conditionsOf(kept)
  const asks = Object.keys(conditions).length > 0
  const asking: Call = asks ? { ...call, headers: { ...call.headers, ...conditions } } : call
  const requestedAt = clock.now()
  const url = call.origin + call.path
  const keep = async (answer: Answer, sent: Target): Promise<void> => {
    if (answer.status !== 200 || !('bytes' in answer) || !answer.whole) return
    const key = await cache.key(asking, sent)
    const keeping = toKeep(call.headers, sent.headers, answer, requestedAt, clock.now())
    if (keeping === undefined) cache.delete(key)
    else cache.put(key, keeping)
  }
  const readOrKept: Read<T | typeof notOurs> = async (answer, hop, stop) => {
    // A redirect that was followed is another resource's reply.
    const same = hop.url === url
    if (answer.status === 304 && asks) {
      const mended = kept === undefined || !same ? undefined : renewed(kept, answer.headers, requestedAt, clock.now())
      const key = await cache.key(asking, hop.sent)
      if (mended === undefined || key.own !== found?.key.own) return notOurs
      cache.put(key, mended)
      return read(answerOf(mended), hop, stop)
    }
    if (same) await keep(answer, hop.sent)
    return read(answer, hop, stop)
  }
  const value = await perform(wire, asking, options, readOrKept, begunAt)
  // The partner said "as before" of something that we cannot show: of other credentials, or of a reply that is another by now.
  return value === notOurs ? perform(wire, call, options, read, begunAt) : value
}
