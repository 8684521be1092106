import { defineConnector, secret } from '@ecokit/contracts'
import type { AuthScheme } from '@ecokit/contracts'
import { z } from 'zod'

const none = {
  kind: 'none',
  credentials: z.object({}),
  open: () => ({ authorize: () => undefined }),
} satisfies AuthScheme
const tokenFields = z.strictObject({ token: secret() })
const token = {
  kind: 'bearer',
  credentials: tokenFields,
  open: (given) => ({ authorize: ({ headers }) => headers.set('authorization', `Bearer ${given.token}`) }),
} satisfies AuthScheme<typeof tokenFields>

/** What `lineage.url` is reached by: the collector of OpenLineage's HTTP transport, with every guard that a connection to a partner has. */
export const lineageCollector = defineConnector(
  {
    id: 'openlineage',
    title: 'OpenLineage collector',
    config: z.strictObject({ url: z.url() }),
    hosts: ['{url}'],
    auth: { none, token },
  },
  () => ({ check: () => Promise.resolve({}) }),
)

/** Where events go: the URL as it stands, or OpenLineage's usual path where it has none. */
export const collectorUrl = (url: string): string => {
  const parsed = new URL(url)
  return parsed.pathname === '/' ? new URL('/api/v1/lineage', parsed).href : parsed.href
}
