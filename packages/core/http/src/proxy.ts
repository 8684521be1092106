import { integrationError } from '@ecokit/contracts'
import type { NetworkRuntime } from './types.ts'

/** The proxy of one scheme, and the hosts that do without it, in the form of NO_PROXY. */
export interface Proxy {
  readonly url: string
  readonly except: string
}

const parse = (partner: string, text: string, field: string): URL => {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`)
  if (url !== null && url.hostname !== '' && (url.protocol === 'http:' || url.protocol === 'https:')) return url
  // The value may hold a password.
  throw integrationError('invalid_config', {
    partner,
    what: `the proxy in ${field} is no http(s) URL`,
    next: 'Give it in the form http://proxy.example.com:3128',
    details: { field },
  })
}

/** The proxy for origins of this scheme, as the runtime or else the environment says; the lower-case variable wins, as in curl. */
export const proxyFor = (partner: string, origin: string, runtime: NetworkRuntime): Proxy | undefined => {
  const { proxy, environment = process.env } = runtime
  if (proxy === false) return undefined
  if (proxy !== undefined) return { url: parse(partner, proxy, 'proxy').href, except: '' }
  const read = (name: string): string | undefined => environment[name.toLowerCase()] ?? environment[name]
  const secure = origin.startsWith('https:')
  // In a CGI script, HTTP_PROXY is a header that the client sent (https://httpoxy.org).
  const spoofed = !secure && environment['REQUEST_METHOD'] !== undefined
  const field = secure ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  const found = spoofed ? environment['http_proxy'] : read(field)
  if (found === undefined || found === '') return undefined
  return { url: parse(partner, found, field).href, except: read('NO_PROXY') ?? '' }
}

const unescape = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
/** What may not be shown of the proxies: their credentials. */
export const proxySecrets = ({ proxy, environment = process.env }: NetworkRuntime): string[] =>
  [proxy, ...['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY'].map((name) => environment[name])].flatMap(
    (text) => {
      if (typeof text !== 'string' || !text.includes('@')) return []
      const url = URL.parse(text.includes('://') ? text : `http://${text}`)
      return url === null || url.password === '' ? [] : [url.password, unescape(url.password)]
    },
  )
