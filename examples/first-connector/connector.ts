import { bearer } from '@ecokit/auth'
import { capability, defineConnector, one, stream } from '@ecokit/contracts'
import { z } from 'zod'

// What the platform sends: lenient, and only the fields that are read.
const WireFeature = z.object({
  name: z.string(),
  type: z.string(),
  updated: z.iso.datetime(),
  owner: z.string().nullish(),
})
const Page = z.object({ features: z.array(WireFeature), next: z.string().nullish() })

// What people get.
const Feature = z.object({
  name: z.string(),
  type: z.string(),
  updated_at: z.iso.datetime(),
  owner: z.string().nullable(),
})
const feature = (wire: z.output<typeof WireFeature>): z.input<typeof Feature> => ({
  name: wire.name,
  type: wire.type,
  updated_at: wire.updated,
  owner: wire.owner ?? null,
})

const catalog = capability({
  id: 'features.catalog',
  version: 1,
  operations: {
    get: one({
      title: 'Look up one feature',
      effect: 'read',
      input: z.strictObject({ name: z.string() }),
      output: Feature,
    }),
  },
})

/** A feature store of an invented make: one operation, one stream, one way to prove who we are. */
export const featureStore = defineConnector(
  {
    id: 'feature-store',
    title: 'Feature store',
    description: 'The features that models may use.',
    config: z.strictObject({ url: z.url() }),
    hosts: ['{url}'],
    auth: { token: bearer() },
    provides: { catalog },
    streams: { features: stream({ schema: Feature, primaryKey: ['name'], cursor: 'updated_at' }) },
  },
  ({ config, http }) => {
    const api = http(config.url)
    return {
      check: async (options) => {
        const { version } = await api.json(
          { method: 'GET', path: '/v1/status' },
          z.object({ version: z.string() }),
          options,
        )
        return { version }
      },
      provides: {
        catalog: {
          get: async ({ name }, options) =>
            feature(
              await api.json({ method: 'GET', path: `/v1/features/${encodeURIComponent(name)}` }, WireFeature, options),
            ),
        },
      },
      read: {
        async *features({ checkpoint, signal }) {
          const since = checkpoint?.['since'] as string | undefined
          const paging = {
            kind: 'token',
            in: 'query',
            parameter: 'page',
            next: (page: z.output<typeof Page>) => page.next,
          } as const
          let latest = since
          for await (const page of api.pages({ method: 'GET', path: '/v1/features', query: { since } }, Page, paging, {
            signal,
          })) {
            const records = page.features.map(feature)
            latest = records.reduce(
              (most, record) => (most === undefined || record.updated_at > most ? record.updated_at : most),
              latest,
            )
            // The platform sorts by time, so after each page everything up to its last record has been read.
            yield { encoding: 'records', records, ...(latest === undefined ? {} : { checkpoint: { since: latest } }) }
          }
        },
      },
    }
  },
)
