import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { hostname, networkInterfaces } from 'node:os'
import { getCookie, setCookie } from 'hono/cookie'
import type { Context, MiddlewareHandler } from 'hono'
import { failure } from './reply.ts'

/** The cookie that stands for the token in a browser. Cookies know no ports, so its name does: two consoles on one machine do not log each other out. */
export const sessionCookie = (host: string): string => `ecokit_session_${/:(\d+)$/.exec(host)?.[1] ?? '80'}`

const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
}

// Digests first: timingSafeEqual wants equal lengths, and the length of the token is nobody's business either.
const same = (left: string, right: string): boolean =>
  timingSafeEqual(createHash('sha256').update(left).digest(), createHash('sha256').update(right).digest())

/** The names that a Host header may carry: loopback, the bound host, and every own address where the server is bound to all of them. */
export const allowedHosts = (host: string, port: number): ReadonlySet<string> => {
  const wildcard = host === '0.0.0.0' || host === '::'
  const addresses = wildcard
    ? [hostname(), ...Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))]
    : [host]
  const names = ['127.0.0.1', 'localhost', '::1', ...addresses].map((name) =>
    (name.includes(':') ? `[${name}]` : name).toLowerCase(),
  )
  return new Set(names.flatMap((name) => (port === 80 ? [name, `${name}:80`] : [`${name}:${port}`])))
}

export interface GuardOptions {
  readonly token: string
  /** Known only once the server listens. */
  readonly hosts: () => ReadonlySet<string>
}

const open = new Set(['/healthz', '/readyz'])

/** The cookie's value: proves that its bearer once showed the token, and is not the token. */
export const sessionValue = (token: string): string =>
  createHmac('sha256', token).update('ecokit session 1').digest('base64url')

const proof = (context: Context, token: string): 'token' | 'cookie' | undefined => {
  const header = context.req.header('authorization')
  // A wrong header is refused even beside a right cookie: whoever sends one means to be judged by it.
  if (header !== undefined) return same(header, `Bearer ${token}`) ? 'token' : undefined
  const cookie = getCookie(context, sessionCookie(context.req.header('host') ?? ''))
  return cookie !== undefined && same(cookie, sessionValue(token)) ? 'cookie' : undefined
}

// Cookies are shared by all ports of a host, so another local page's request carries ours too; what it cannot forge is where it comes from.
const foreignPage = (context: Context): boolean => {
  const site = context.req.header('sec-fetch-site')
  // Following a link to the console shows it to its user and to nobody else: it cannot be framed, and no other page can read it.
  const link = context.req.method === 'GET' && context.req.header('sec-fetch-dest') === 'document'
  if (link && !context.req.path.startsWith('/api/')) return false
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  if (context.req.method === 'GET' || context.req.method === 'HEAD') return false
  return context.req.header('origin') === undefined && site !== 'same-origin'
}

const page = (text: string): string =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>ecokit</title><p>${text}</p></html>`

const refused = (context: Context): Response => {
  if (context.req.path.startsWith('/api/') || context.req.header('accept')?.includes('text/html') !== true)
    return failure(
      'unauthenticated',
      'the token is missing or wrong. Send `Authorization: Bearer` with the token in .ecokit/token',
    )
  // A link that was followed from another site leaves a SameSite=Strict cookie behind; asked for again from here, it comes along.
  if (context.req.path === '/' && context.req.header('sec-fetch-site') === 'cross-site')
    return context.html('<!doctype html><meta http-equiv="refresh" content="0;url=/">', 401)
  return context.html(page('This console needs its link: open the one that <code>ecokit up</code> printed.'), 401)
}

/** Checks Host, Origin and token, in this order, and sets the security headers on every reply. */
export const guard =
  ({ token, hosts }: GuardOptions): MiddlewareHandler =>
  async (context, next) => {
    const reply = check(context, token, hosts())
    if (reply === undefined) await next()
    else context.res = reply
    for (const [name, value] of Object.entries(securityHeaders)) context.res.headers.set(name, value)
  }

const check = (context: Context, token: string, hosts: ReadonlySet<string>): Response | undefined => {
  const host = context.req.header('host')?.toLowerCase() ?? ''
  if (!hosts.has(host))
    return failure('forbidden', `this server does not answer for the host "${host}". Use the address that it printed`)
  const origin = context.req.header('origin')
  if (origin !== undefined && origin.toLowerCase() !== `http://${host}`)
    return failure('forbidden', 'a page of another origin may not use this server')
  if (open.has(context.req.path)) return undefined
  const given = context.req.path === '/' && context.req.method === 'GET' ? context.req.query('token') : undefined
  if (given !== undefined) {
    if (!same(given, token)) return refused(context)
    setCookie(context, sessionCookie(host), sessionValue(token), { httpOnly: true, sameSite: 'Strict', path: '/' })
    return context.redirect('/', 303)
  }
  const by = proof(context, token)
  if (by === undefined) return refused(context)
  if (by === 'cookie' && foreignPage(context))
    return failure('forbidden', 'a page of another origin may not use this server')
  return undefined
}
