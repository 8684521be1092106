import { integrationError, isIntegrationError, toIntegrationError, type ErrorCode } from '@ecokit/contracts'
import { readEvents } from './event-stream.ts'
import {
  parseEvent,
  parseHealth,
  parsePartners,
  parseProblem,
  type Partner,
  type PartnerHealth,
  type ServerEvent,
} from './wire.ts'

/** Where a server is and the token that it wants. */
export interface Target {
  /** Without a path: `http://127.0.0.1:8000`. */
  readonly url: string
  readonly token: string
}

/** Three heartbeats of the server; a stream that is silent for longer is taken for dead. */
const silenceMs = 45_000
const replyMs = 15_000
/** Checks run within the partner's own time limit, which the server knows. */
const checkMs = 120_000

const codeOf = (status: number): ErrorCode =>
  status === 401 || status === 403
    ? 'unauthenticated'
    : status === 404
      ? 'not_found'
      : status >= 500
        ? 'unavailable'
        : 'rejected'

/** The transport's own word is in the cause: fetch says only that it failed. */
const whyUnreachable = (error: unknown): string => {
  const cause: unknown = error instanceof Error ? error.cause : undefined
  if (typeof cause === 'object' && cause !== null && 'code' in cause && typeof cause.code === 'string')
    return cause.code
  return error instanceof Error ? error.message : String(error)
}

const request = async ({ url, token }: Target, path: string, init: RequestInit): Promise<Response> => {
  let reply: Response
  try {
    reply = await fetch(new URL(path, url), {
      ...init,
      headers: { authorization: `Bearer ${token}`, ...(init.headers as Record<string, string> | undefined) },
      redirect: 'error',
    })
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') throw toIntegrationError(error)
    const what = `the server at ${url} does not answer (${whyUnreachable(error)})`
    throw integrationError('unavailable', { what, next: 'Start it with: ecokit up', details: {} })
  }
  if (reply.ok) return reply
  const said = parseProblem(await reply.text())
  throw integrationError(codeOf(reply.status), {
    what: said ?? `the server at ${url} answered ${reply.status} to ${path}`,
    details: { status: reply.status },
  })
}

const readJson = async <T>(reply: Response, read: (value: unknown) => T): Promise<T> => {
  try {
    return read(await reply.json())
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') throw toIntegrationError(error)
    const what = `what answers at ${new URL(reply.url).origin} is not an ecokit server`
    throw integrationError('invalid_reply', { what, details: { status: reply.status } })
  }
}

const within = (ms: number, signal: AbortSignal | undefined): AbortSignal =>
  AbortSignal.any([AbortSignal.timeout(ms), ...(signal === undefined ? [] : [signal])])

export const fetchPartners = async (target: Target, signal?: AbortSignal): Promise<readonly Partner[]> =>
  readJson(await request(target, '/api/partners', { signal: within(replyMs, signal) }), parsePartners)

/** Has the server check a partner now; the outcome of this one check. */
export const checkPartner = async (target: Target, name: string, signal?: AbortSignal): Promise<PartnerHealth> => {
  const path = `/api/partners/${encodeURIComponent(name)}/check`
  return readJson(await request(target, path, { method: 'POST', signal: within(checkMs, signal) }), parseHealth)
}

/**
 * Follows the server's events until the stream ends, by either side. `onOpen` is called once the server has taken us in, so that what is fetched from
 * then on misses nothing.
 */
export const followEvents = async (
  target: Target,
  on: { readonly open: () => void; readonly event: (event: ServerEvent) => void },
  signal: AbortSignal,
): Promise<void> => {
  const silence = new AbortController()
  const timer = setTimeout(() => {
    silence.abort()
  }, silenceMs)
  try {
    const headers = { accept: 'text/event-stream' }
    const ends = AbortSignal.any([signal, silence.signal])
    const reply = await request(target, '/api/events', { headers, signal: ends })
    if (reply.body === null) return
    on.open()
    const body = reply.body
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of body) {
        timer.refresh()
        yield chunk
      }
    }
    for await (const { event, data } of readEvents(chunks())) {
      const read = parseEvent(event, data)
      if (read !== undefined) on.event(read)
    }
  } catch (error) {
    if (signal.aborted) throw toIntegrationError(error)
    if (silence.signal.aborted) {
      const what = `the server at ${target.url} has been silent for ${silenceMs / 1000} s`
      throw integrationError('timeout', { what, details: { timeoutMs: silenceMs } })
    }
    if (isIntegrationError(error)) throw error
    const what = `the connection to the server at ${target.url} was lost (${whyUnreachable(error)})`
    throw integrationError('unavailable', { what, details: {} })
  } finally {
    clearTimeout(timer)
  }
}
