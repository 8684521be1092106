import { integrationError, isIntegrationError, type CallOptions, type Signable } from '@ecokit/contracts'
import { requestError } from './failure.ts'
import { RequestHeaders } from './headers.ts'
import { tidy } from './redact.ts'
import type { Call, Hop, Target, Wire } from './wire.ts'

const mostRedirects = 5
/** What goes along to another origin: nothing that could be a credential. */
const harmless = new Set(['accept', 'accept-encoding', 'accept-language', 'range', 'user-agent'])

/** Whether the manifest declares this origin. */
export const isDeclared = (wire: Wire, url: URL): boolean =>
  (url.protocol === 'https:' || url.protocol === 'http:') && wire.hosts.some(({ origin }) => origin === url.origin)

/** The error for a host that the manifest does not declare; `before` says what led there. */
export const hostNotAllowed = (wire: Wire, url: URL, before = '') => {
  const host = tidy(url.host || url.protocol, wire.redact)
  const origin = tidy(url.host === '' ? url.protocol : `${url.protocol}//${url.host}`, wire.redact)
  const declared = wire.hosts.map((each) => each.origin).join(', ') || 'none'
  return integrationError('host_not_allowed', {
    partner: wire.partner,
    what: `${before}the host ${origin} is not one of those that the connector's manifest declares (${declared})`,
    next: 'Correct the address in the config, or add the host to "hosts" in the manifest',
    details: { host },
  })
}

/** What an authorizer threw, without its words, which may quote the credential. */
const signingFailure = (error: unknown): unknown =>
  isIntegrationError(error)
    ? error
    : new Error(`the auth scheme threw ${error instanceof Error ? error.name : 'something that is no error'}`)

/** The target with credentials; at once where the authorizer does not wait. */
export const sign = (target: Target, call: Call, options: CallOptions | undefined): Target | Promise<Target> => {
  let headers: RequestHeaders | undefined
  let url: URL | undefined
  const signable: Signable = {
    method: call.method,
    body: call.body instanceof ReadableStream ? 'stream' : call.body,
    get headers() {
      return (headers ??= new RequestHeaders(target.headers))
    },
    get url() {
      return (url ??= new URL(target.origin + target.path))
    },
  }
  const signed = (): Target => {
    if (url !== undefined && url.origin !== target.origin) throw new Error('the auth scheme changed the host')
    const host = headers?.get('host')
    if (host != null && host !== new URL(target.origin).host) throw new Error('the auth scheme changed the host')
    // Field by field: a call has many more, and copying them costs more than all else here.
    return {
      origin: target.origin,
      authorizer: target.authorizer,
      certificate: target.certificate,
      path: url === undefined ? target.path : url.pathname + url.search,
      headers: headers === undefined ? target.headers : headers.record,
    }
  }
  let signing: void | Promise<void>
  try {
    signing = target.authorizer?.authorize(signable, options)
  } catch (error) {
    throw signingFailure(error)
  }
  if (signing === undefined) return signed()
  return signing.then(signed, (error: unknown) => {
    throw signingFailure(error)
  })
}

/** The words that the authorizer added to headers and query: secrets that only it may know. */
export const addedSecrets = (target: Target, sent: Target): string[] => {
  const added = Object.entries(sent.headers).flatMap(([name, value]) =>
    target.headers[name] === value ? [] : [value, ...value.split(/[\s,;]+/)],
  )
  if (sent.path !== target.path)
    for (const [name, value] of new URLSearchParams(sent.path.split('?')[1]))
      if (!target.path.includes(`${name}=`)) added.push(value)
  return added.filter((word) => word.length >= 8)
}

/** Where a redirect leads: with credentials within the origin, without to another declared host, and nowhere else. */
export const follow = (
  wire: Wire,
  hop: Hop,
  call: Call,
  target: Target,
  location: string,
  redirected: number,
): Target => {
  const status = hop.status ?? 0
  const refuse = (happened: string): never => {
    throw requestError(hop.about, 'invalid_reply', happened, 'Correct the address in the config', { status })
  }
  const next = URL.parse(location, target.origin + target.path)
  if (next === null) return refuse(`was answered with ${status} and no usable address`)
  if (!isDeclared(wire, next))
    throw hostNotAllowed(
      wire,
      next,
      `${call.method} ${tidy(hop.about.path, wire.redact, 200)} was sent on with ${status}: `,
    )
  if (target.origin.startsWith('https:') && next.protocol === 'http:')
    return refuse(`was answered with ${status}: sent on from https to ${next.origin}, which is not encrypted`)
  if (call.method !== 'GET' && call.method !== 'HEAD')
    return refuse(`was answered with ${status}: it has moved to ${next.origin}${next.pathname}`)
  if (redirected >= mostRedirects) return refuse(`was sent on more than ${mostRedirects} times`)
  const path = next.pathname + next.search
  if (next.origin === target.origin) return { ...target, path }
  const headers = Object.fromEntries(Object.entries(target.headers).filter(([name]) => harmless.has(name)))
  return { origin: next.origin, path, headers, authorizer: undefined, certificate: undefined }
}
