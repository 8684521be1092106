import { z } from 'zod'
import { badReference } from './credentials.ts'
import type { NetworkEntry } from './ecosystem.ts'
import { valueAt } from './explain.ts'
import type { Finding } from './explain.ts'
import { meantAsReference, referenceIn, referencePattern, secretNameFor } from './references.ts'
import type { Path } from './source.ts'

const hostName = z
  .string()
  .max(253)
  .regex(
    /^(?![0-9.]+$)(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$/,
    "not the name of a host; write mlflow.example.com or '*.corp.example.com', without http:// and port (an address that stands in the config is reached unasked)",
  )
const privateNetworks = z.union([
  z.enum(
    ['configured', 'refuse', 'allow'],
    'expected configured, refuse, allow or a list of names: [mlflow.example.com]',
  ),
  z.array(hostName).min(1, 'name at least one host, or leave it out').max(100),
])

const badProxy =
  'not the URL of a proxy; write http://proxy.example.com:3128, or ${secret:name} or ${env:NAME} for one with a password'
const proxyForm = new RegExp(`${referencePattern}|^https?://[^/?#@\\s]+/?$`)
const proxy = z.union([
  z
    .string()
    .regex(proxyForm, badProxy)
    .refine((text) => referenceIn(text) !== undefined || URL.canParse(text), badProxy),
  z.literal(false, 'expected false or a URL: http://proxy.example.com:3128'),
])

const cache = z.union([
  z.boolean('expected true, false or a map with maxBytes and shared'),
  z.strictObject({
    maxBytes: z
      .int()
      .min(65_536)
      .max(4_294_967_296)
      .optional()
      .describe('Bytes in memory for each connection. Default 33554432 (32 MiB).'),
    shared: z
      .boolean()
      .optional()
      .describe('Keeps replies in the state folder too, unsealed, for the other processes. Default false.'),
  }),
])

const tls = z.strictObject({
  minVersion: z
    .enum(['TLSv1.2', 'TLSv1.3'])
    .optional()
    .describe('The oldest TLS that is spoken; health shows TLSv1.2. Default TLSv1.3.'),
  ca: z
    .string()
    .max(4096)
    .regex(
      /^(?!-----BEGIN)(?!.*\$\{)[^\r\n]+$/,
      'not the path of a file; write the path itself, relative to this file: certs/authority.pem',
    )
    .optional()
    .describe(
      'The path of a PEM file, relative to this file: authorities that are trusted besides the well-known ones.',
    ),
})

/** What people write under `partners.<name>.network`: the runtime options of every connection to that partner. */
export const NetworkSection = z.strictObject({
  privateNetworks: privateNetworks
    .optional()
    .describe(
      "Which hosts may lead to private networks and this machine: those that the config names itself (configured, the default), none (refuse), these names too (a list, '*.corp.example.com' for all below), or all (allow).",
    ),
  http2: z.boolean().optional().describe('Offers HTTP/2 to servers that speak TLS. Default false.'),
  proxy: proxy
    .optional()
    .describe('The proxy for every host but this machine; false: none. Default: HTTPS_PROXY, HTTP_PROXY and NO_PROXY.'),
  cache: cache.optional().describe('Keeps replies to reads as their headers allow. Default false.'),
  tls: tls.optional().describe('How TLS is spoken.'),
}) satisfies z.ZodType<NetworkEntry>

/** What is wrong with the secrets and references of the section at this path. Its schema sees the rest. */
export const secretsInNetwork = (partner: string, raw: unknown, at: Path): readonly Finding[] => {
  const text = valueAt(raw, ['proxy'])
  if (typeof text !== 'string' || referenceIn(text) !== undefined) return []
  const path = [...at, 'proxy']
  if (meantAsReference(text)) return [{ path, at: 'value', message: badReference }]
  if (!text.includes('@')) return []
  return [
    {
      path,
      at: 'value',
      message:
        'a user or password may not stand in the file; keep the whole URL in the vault (`ecokit vault set`) and write ${secret:name}, or write ${env:NAME}',
      secret: { name: secretNameFor(partner, ['proxy']), partner },
    },
  ]
}
