import { z } from '@hono/zod-openapi'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { findLineage, listDatasets } from '@ecokit/flow'
import type { EcosystemRuntime } from '../ecosystem.ts'
import { addRoute } from '../route.ts'
import { dataset, lineageGraph } from '../run-schemas.ts'

/** Where data comes from and goes to, over all runs. */
export const lineageRoutes = (app: OpenAPIHono, { store }: EcosystemRuntime): void => {
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/lineage/datasets',
      tag: 'lineage',
      summary: 'Every dataset that a run has read or written',
      reply: z.object({ datasets: z.array(dataset).readonly() }),
    },
    async () => ({ datasets: await listDatasets(store) }),
  )
  addRoute(
    app,
    {
      method: 'get',
      path: '/api/lineage',
      tag: 'lineage',
      summary: 'Where a dataset, or one column of it, comes from and goes to',
      query: z.object({
        namespace: z.string().optional(),
        name: z.string(),
        field: z.string().optional(),
        direction: z.enum(['upstream', 'downstream', 'both']).default('both'),
        depth: z.coerce.number().int().min(1).max(100).default(10),
      }),
      reply: lineageGraph,
    },
    ({ query }) => findLineage(store, query),
  )
}
