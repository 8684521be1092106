import { z } from 'zod'
import { defineConnector, stream } from '@ecokit/contracts'

/** A connector with one declared stream and nothing else. */
export const desk = defineConnector(
  {
    id: 'desk',
    title: 'Desk',
    config: z.strictObject({ url: z.url() }),
    hosts: ['{url}'],
    streams: { items: stream({ schema: z.object({ id: z.int() }), rest: { path: 'items' } }) },
  },
  () => ({ check: () => Promise.resolve({}) }),
)
