import { X509Certificate } from 'node:crypto'
import type { NetworkRuntime } from '@ecokit/http'
import type { NetworkEntry } from './ecosystem.ts'
import { referenceIn } from './references.ts'
import { readFileValue, refuse, valueOf } from './resolve.ts'
import type { Place, ValueSources } from './resolve.ts'
import { quote } from './suggest.ts'

/** A bundle of a whole system has some 250 KB. */
const maxBundleBytes = 1024 * 1024

/** The certificates of a PEM file and nothing else of it: TLS would pass over what it cannot read, and trust nobody more without a word. */
const readAuthority = async (path: string, folder: string, place: Place): Promise<string> => {
  const text = await readFileValue(path, folder, place, maxBundleBytes)
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  const next = 'Give the certificates of the authority as PEM text (-----BEGIN CERTIFICATE-----)'
  if (found.length === 0) throw refuse(place, `names the file ${quote(path)}, which holds no certificate`, next)
  for (const [index, one] of found.entries())
    try {
      new X509Certificate(one)
    } catch {
      throw refuse(place, `names the file ${quote(path)}, whose certificate number ${index + 1} cannot be read`, next)
    }
  return `${found.join('\n')}\n`
}

const readProxy = async (given: string, sources: ValueSources, place: Place): Promise<string> => {
  const reference = referenceIn(given)
  if (reference === undefined) return given
  const text = await valueOf(reference, sources, place)
  const protocol = URL.parse(text)?.protocol
  if (protocol === 'http:' || protocol === 'https:') return text
  // The value may hold a password.
  throw refuse(
    place,
    'refers to what is no http(s) URL',
    'Write it in the form http://user:password@proxy.example.com:3128',
  )
}

/** The runtime options of a partner's `network`, with its file read and its reference resolved; throws `invalid_config` naming the field. */
export const networkRuntime = async (
  { tls, proxy, privateNetworks, http2, cache }: NetworkEntry,
  about: { readonly partner: string; readonly filename: string },
  sources: ValueSources,
): Promise<NetworkRuntime> => {
  const at = (field: string): Place => ({
    ...about,
    field: `partners.${about.partner}.network.${field}`,
    code: 'invalid_config',
  })
  const ca = tls?.ca === undefined ? undefined : await readAuthority(tls.ca, sources.folder ?? '.', at('tls.ca'))
  const { maxBytes, shared } = typeof cache === 'object' ? cache : {}
  return {
    ...(privateNetworks !== undefined && { privateNetworks }),
    ...(http2 !== undefined && { http2 }),
    ...(proxy !== undefined && { proxy: proxy === false ? proxy : await readProxy(proxy, sources, at('proxy')) }),
    ...(cache !== undefined && {
      cache:
        typeof cache === 'boolean'
          ? cache
          : { ...(maxBytes !== undefined && { maxBytes }), ...(shared !== undefined && { shared }) },
    }),
    ...(tls !== undefined && {
      tls: { ...(tls.minVersion !== undefined && { minVersion: tls.minVersion }), ...(ca !== undefined && { ca }) },
    }),
  }
}
