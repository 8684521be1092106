import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { defineConnector, stream } from '@ecokit/contracts'
import { z } from 'zod'

const order = z.object({ id: z.string(), amount: z.number().nullable(), updated: z.iso.datetime() })
type Order = z.output<typeof order>

/** A partner with orders that change, read over HTTP from a cursor on; `note` is a column that a later version of it brings. */
export const shopOf = ({ note = false } = {}) =>
  defineConnector(
    {
      id: 'shop',
      title: 'Shop',
      config: z.strictObject({ url: z.url() }),
      hosts: ['{url}'],
      streams: {
        orders: stream({
          schema: note ? order.extend({ note: z.string().nullish() }) : order,
          primaryKey: ['id'],
          cursor: 'updated',
        }),
        customers: stream({ schema: z.object({ id: z.string() }), primaryKey: ['id'] }),
      },
    },
    ({ config, http }) => {
      const door = http(config.url)
      return {
        check: () => Promise.resolve({}),
        read: {
          async *orders({ since, until, checkpoint, signal }) {
            const from = since ?? (checkpoint as { updated?: string } | undefined)?.updated
            const query = { since: from, until }
            const records = await door.json({ method: 'GET', path: '/orders', query }, z.array(z.any()), { signal })
            const newest =
              (records as Order[])
                .map(({ updated }) => updated)
                .sort()
                .at(-1) ?? from
            yield { encoding: 'records', records: records as Order[], checkpoint: { updated: newest } }
          },
          async *customers({ signal }) {
            const records = await door.json({ method: 'GET', path: '/customers' }, z.array(z.any()), { signal })
            yield { encoding: 'records', records: records as { id: string }[] }
          },
        },
      }
    },
  )

/** The shop's own server: eight orders, one a day from 2026-01-01 on, the last of them without an amount. */
export const startShop = async () => {
  const orders = Array.from({ length: 8 }, (_, day) => ({
    id: `o${day}`,
    amount: day === 7 ? null : day * 10,
    updated: `2026-01-0${day + 1}T00:00:00Z`,
  }))
  const seen: string[] = []
  let holding: Promise<void> | undefined
  const server = createServer((request, reply) => {
    const { pathname, searchParams, search } = new URL(request.url ?? '/', 'http://shop')
    seen.push(`${pathname}${decodeURIComponent(search)}`)
    const [since, until] = [searchParams.get('since'), searchParams.get('until')]
    const found = orders.filter(({ updated }) => (since ?? '') <= updated && (until === null || updated < until))
    void (holding ?? Promise.resolve()).then(() => {
      reply.setHeader('content-type', 'application/json')
      reply.end(JSON.stringify(pathname === '/orders' ? found : [{ id: 'c1' }, { id: 'c2' }, { id: 7 }]))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    orders,
    seen,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Holds every answer back until the function is called. */
    hold: () => {
      let go = (): void => undefined
      holding = new Promise((resolve) => (go = resolve))
      return () => {
        holding = undefined
        go()
      }
    },
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
