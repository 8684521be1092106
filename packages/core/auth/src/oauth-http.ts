import { Buffer } from 'node:buffer'
import { integrationError, isIntegrationError, type AuthContext, type Certificate } from '@ecokit/contracts'

const longestReply = 1024 * 1024
/** From the head of a reply to its last byte. The transport ends a reply of which nothing comes; this ends one that comes drop by drop. */
const longestReplyMs = 30_000
/** Of a token request, what nobody else may see; an issuer that echoes it must not get it into a message. */
const secretParameters = [
  'client_secret',
  'client_assertion',
  'refresh_token',
  'code',
  'code_verifier',
  'device_code',
  'assertion',
  'subject_token',
  'actor_token',
  'token',
  'password',
]

/** What an issuer refused with (RFC 6749, 5.2), free of secrets. */
export interface Refusal {
  readonly status: number
  /** `invalid_grant`, …; empty where the reply is no OAuth error. */
  readonly error: string
  /** For messages. */
  readonly words: string
  readonly retryAfterMs?: number
}
type FetchOptions = {
  readonly method: string
  readonly headers: Record<string, string>
  readonly body?: unknown
  readonly signal?: AbortSignal
}

const refusals = new WeakMap<Response, Refusal>()
/** What the issuer refused with; undefined where it did not. */
export const refusalOf = (response: Response): Refusal | undefined => refusals.get(response)

const collect = async (context: AuthContext, body: ReadableStream<Uint8Array>): Promise<Buffer> => {
  const { partner } = context
  const until = context.now() + longestReplyMs
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.byteLength
    if (size > longestReply)
      throw integrationError('too_large', {
        partner,
        what: `the issuer answered with more than ${longestReply} bytes`,
        next: "Is the issuer's address right?",
        details: { limit: longestReply },
      })
    if (context.now() > until)
      throw integrationError('timeout', {
        partner,
        what: `the issuer did not end its answer within ${longestReplyMs} ms`,
        next: 'Try again later',
        details: { timeoutMs: longestReplyMs },
      })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** What may come back in the words of an issuer. */
const secretsOf = (body: URLSearchParams | undefined, authorization: string | undefined): string[] => {
  const secrets = secretParameters.flatMap((name) => body?.getAll(name) ?? [])
  const basic = authorization?.split(' ')[1]
  if (basic !== undefined)
    // Id and secret stand there as in a form (RFC 6749, 2.3.1).
    secrets.push(
      basic,
      ...new URLSearchParams(`=${Buffer.from(basic, 'base64').toString().split(':')[1] ?? ''}`).values(),
    )
  return secrets.filter((secret) => secret.length >= 4)
}
const formsOf = (secret: string): readonly string[] => [
  secret,
  encodeURIComponent(secret),
  new URLSearchParams({ '': secret }).toString().slice(1),
  Buffer.from(secret).toString('base64'),
]
/** A message is one line, whatever an issuer says. */
// eslint-disable-next-line no-control-regex -- these are what must not be there
export const oneLine = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
const hide = (text: string, secrets: readonly string[]): string => {
  let shown = text
  for (const secret of secrets) for (const form of formsOf(secret)) shown = shown.replaceAll(form, '***')
  return oneLine(shown).slice(0, 500)
}

const readRefusal = (
  status: number,
  headers: Headers,
  body: string,
  secrets: readonly string[],
  now: number,
): Refusal => {
  let error = ''
  let description = ''
  try {
    const said = JSON.parse(body) as Readonly<Record<string, unknown>> | null
    if (typeof said?.['error'] === 'string') error = said['error']
    if (typeof said?.['error_description'] === 'string') description = said['error_description']
  } catch {
    // No OAuth error, then: its status has to do.
  }
  const after = headers.get('retry-after')
  const seconds = Number(after)
  const until = after === null ? Number.NaN : Number.isFinite(seconds) ? seconds * 1000 : Date.parse(after) - now
  const words = hide([error, description].filter((part) => part !== '').join(': '), secrets)
  return {
    status,
    error: /^[\w.-]{1,100}$/.test(error) ? error : '',
    words: words === '' ? `HTTP ${status}` : words,
    ...(Number.isFinite(until) ? { retryAfterMs: Math.max(0, until) } : {}),
  }
}

/** Leads the requests of oauth4webapi through the connection's own way out, so that its hosts, limits and redaction hold for them too. `sending` runs right before a request leaves. */
export const fetchThrough =
  (context: AuthContext, certificate: Certificate | undefined, sending?: () => Promise<void>) =>
  async (address: string, { method, headers, body, signal }: FetchOptions): Promise<Response> => {
    const url = new URL(address)
    const form = body instanceof URLSearchParams ? body : undefined
    let answered: { status: number; headers: Headers; body: string } | undefined
    const http = context.http(url.origin, {
      ...(certificate === undefined ? {} : { certificate }),
      explain: (failure) => {
        answered = failure
        return undefined
      },
    })
    const query: Record<string, string[]> = {}
    for (const name of url.searchParams.keys()) query[name] = url.searchParams.getAll(name)
    const kept = Object.entries(headers).filter(([name]) => name !== 'user-agent')
    const request = {
      method,
      path: url.pathname.slice(1),
      query,
      headers: Object.fromEntries(kept),
      ...(form === undefined ? {} : { body: Buffer.from(form.toString()) }),
      effect: method === 'GET' || method === 'HEAD' ? 'read' : 'write',
      idempotent: false,
    } as const
    await sending?.()
    try {
      const reply = await http.request(request, { signal })
      const bytes = await collect(context, reply.body)
      return new Response(bytes.length === 0 ? null : Uint8Array.from(bytes), {
        status: reply.status,
        headers: [...reply.headers].filter(([name]) => name !== 'content-encoding' && name !== 'content-length'),
      })
    } catch (error) {
      if (answered === undefined || isIntegrationError(error, 'circuit_open')) throw error
      const secrets = secretsOf(form, headers['authorization'])
      const response = new Response(null, { status: answered.status })
      refusals.set(response, readRefusal(answered.status, answered.headers, answered.body, secrets, context.now()))
      return response
    }
  }

/** What a refusal means to those who call the partner. */
export const refusalError = (partner: string, scheme: string, field: string, refusal: Refusal) => {
  const { status, error, words, retryAfterMs } = refusal
  const what = `${scheme}: the issuer refused a token: ${words}`
  if (error === 'invalid_client' || error === 'unauthorized_client' || (error === '' && status === 401))
    return integrationError('invalid_credentials', {
      partner,
      what,
      next: 'Check the client id and what it proves itself with',
      details: { field },
    })
  if (status === 429 || error === 'slow_down')
    return integrationError('rate_limited', {
      partner,
      what,
      next: 'Try again later',
      details: retryAfterMs === undefined ? {} : { retryAfterMs },
    })
  if (status >= 500 || status === 408 || error === 'temporarily_unavailable' || error === 'server_error')
    return integrationError('unavailable', { partner, what, next: 'Try again later', details: { status } })
  if (error === 'access_denied')
    return integrationError('forbidden', {
      partner,
      what,
      next: 'Ask for the access at the issuer',
      details: { status },
    })
  if (error === 'invalid_grant')
    return integrationError('unauthenticated', {
      partner,
      what,
      next: 'Check the credentials that the token is asked for with',
      details: { status },
    })
  return integrationError('rejected', {
    partner,
    what,
    next: "Check the scheme's scopes, audience and endpoints against what the issuer allows this client",
    details: { status, ...(error === '' ? {} : { partnerCode: error }) },
  })
}
