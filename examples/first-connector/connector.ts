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
    streams: {
      features: stream({
        schema: Feature,
        primaryKey: ['name'],
        cursor: 'updated_at',
        rest: {
          path: 'v1/features',
          records: 'features',
          paging: { kind: 'token', parameter: 'page', next: 'next' },
          incremental: { since: { parameter: 'since' }, ordered: true },
          wire: WireFeature,
          map: feature,
        },
      }),
    },
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
    }
  },
)
