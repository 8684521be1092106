import { z } from '@hono/zod-openapi'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { fromJson } from '@ecokit/contracts'
import { listContracts, listQuality, listQuarantine } from '@ecokit/flow'
import type { QuarantinedRecord } from '@ecokit/flow'
import type { EcosystemRuntime } from '../ecosystem.ts'
import { addRoute } from '../route.ts'
import { contract, quality, quarantined } from '../run-schemas.ts'

const limit = (most: number, usual: number) => z.coerce.number().int().min(1).max(most).default(usual)
const about = { pipeline: z.string().optional(), stream: z.string().optional(), run: z.string().optional() }

/** A record as it was; its text where it was cut off. */
const parsed = (text: string): unknown => {
  try {
    return fromJson(text)
  } catch {
    return text
  }
}

/** A record that was left out, as the API shows it. */
export const quarantineView = ({ id: _id, record, ...rest }: QuarantinedRecord): z.input<typeof quarantined> => ({
  ...rest,
  record: parsed(record),
})

/** What runs have found out about the data: records that were left out, quality and contracts. */
export const findingRoutes = (app: OpenAPIHono, runtime: EcosystemRuntime): void => {
  const { store } = runtime
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/quarantine',
      tag: 'data',
      summary: 'Records that were left out, with the reason, newest first',
      query: z.object({ ...about, limit: limit(1000, 100) }),
      reply: z.object({ records: z.array(quarantined).readonly() }),
    },
    async ({ query }) => ({ records: (await listQuarantine(store, query)).map(quarantineView) }),
  )
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/quality',
      tag: 'data',
      summary: 'What quality rules said, newest first',
      query: z.object({ ...about, failed: z.stringbool().default(false), limit: limit(1000, 100) }),
      reply: z.object({ results: z.array(quality).readonly() }),
    },
    async ({ query: { failed, ...rest } }) => ({
      results: await listQuality(store, { ...rest, failedOnly: failed }),
    }),
  )
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/contracts',
      tag: 'data',
      summary: 'What pipelines have agreed to hold for each stream, and which wait because it has changed',
      query: z.object({ pipeline: z.string().optional() }),
      reply: z.object({ contracts: z.array(contract).readonly() }),
    },
    async ({ query }) => ({
      contracts: (await listContracts(store, query)).map(({ paused, ...rest }) => ({
        ...rest,
        paused: paused ?? null,
      })),
    }),
  )
}
