import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect, local } from '@ecokit/connector-local'
import { defineConnector, int64, stream, type AnyConnection, type AnyRecord, type QualityRule } from '@ecokit/contracts'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { listQuality, listQuarantine } from '../src/index.ts'
import { only, run, temporaryFolder, testStore } from './support.ts'

const order = z.object({
  id: z.int(),
  big: int64(),
  total: z.number(),
  state: z.enum(['new', 'paid', 'gone']),
  note: z.string().nullable(),
  at: z.iso.datetime(),
})
const pages = 20
const pageSize = 50
const orderAt = (id: number) => ({
  id,
  big: `${9_007_199_254_740_993n + BigInt(id)}`,
  total: id / 8,
  state: ['new', 'paid', 'gone'][id % 3],
  note: id % 40 === 7 ? null : `note ${id}`,
  at: new Date(Date.UTC(2026, 0, 1) + id * 60_000).toISOString(),
})

/** A paged API on a real port. */
const serve = async (): Promise<string> => {
  const server = createServer((request, reply) => {
    const page = Number(new URL(request.url ?? '/', 'http://api').searchParams.get('page') ?? 1)
    const orders = Array.from({ length: page > pages ? 0 : pageSize }, (_, index) =>
      orderAt((page - 1) * pageSize + index),
    )
    // An int64 stands in JSON as digits.
    const body = JSON.stringify({ orders }).replaceAll(/"big":"(\d+)"/g, '"big":$1')
    reply.writeHead(200, { 'content-type': 'application/json' }).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
const rest = {
  path: '/orders',
  records: 'orders',
  paging: { kind: 'page', parameter: 'page', size: pageSize },
} as const
const open = (url: string): AnyConnection => {
  const connection = connect(
    defineConnector(
      {
        id: 'orders',
        title: 'Orders',
        config: z.strictObject({ url: z.url() }),
        hosts: ['{url}'],
        streams: {
          proven: stream({ schema: order, primaryKey: ['id'], rest }),
          // The same through objects.
          mapped: stream({
            schema: order,
            primaryKey: ['id'],
            rest: { ...rest, wire: order, map: (one: z.output<typeof order>) => ({ ...one }) },
          }),
        },
      },
      () => ({ check: () => Promise.resolve({}) }),
    ),
    { name: 'orders', config: { url } },
  )
  onTestFinished(() => connection.close())
  return connection
}

test('rules say the same of proven bytes and of objects, and what they put aside reaches no sink', async () => {
  const source = open(await serve())
  const kinds = new Set<unknown>()
  for (const name of ['proven', 'mapped'])
    for await (const batch of source.read?.(name) ?? [])
      kinds.add(`${name} ${batch.encoding === 'ndjson' && batch.proven === true ? 'bytes' : batch.encoding}`)
  expect([...kinds]).toEqual(['proven bytes', 'mapped records'])

  const folder = await temporaryFolder()
  const sink = connect(local, { name: 'lake', config: { folder } })
  onTestFinished(() => sink.close())
  const store = await testStore()
  const sieved: readonly QualityRule[] = [
    { rule: 'not_null', field: 'note' },
    { rule: 'set', field: 'state', values: ['new', 'paid'] },
    { rule: 'range', field: 'id', max: 899, severity: 'warn' },
  ]
  const readOut: readonly QualityRule[] = [
    ...sieved,
    { rule: 'range', field: 'total', max: 100 },
    { rule: 'range', field: 'at', min: '2026-01-01T00:10:00Z' },
    { rule: 'regex', field: 'note', pattern: '[0-8]$', severity: 'warn' },
    { rule: 'range', field: 'big', max: 9_007_199_254_741_500 },
  ]
  for (const quality of [sieved, readOut]) {
    const said: unknown[] = []
    for (const name of ['proven', 'mapped'])
      for (const sinkName of ['parquet', 'ndjson']) {
        const table = `${name}_${sinkName}_${quality.length}`
        const streams = [{ stream: name, table, quality }]
        const result = await run({ pipeline: { name: table, source, sink, sinkName, streams }, store })
        expect(result).toMatchObject({ status: 'completed' })
        const { read, written, quarantined } = only(result)
        const rows: AnyRecord[] = []
        for await (const batch of sink.read(table)) if (batch.encoding === 'records') rows.push(...batch.records)
        expect(rows).toHaveLength(written)
        const aside = await listQuarantine(store, { run: result.id, limit: 2_000 })
        said.push({
          read,
          quarantined,
          rows: rows.map(({ id, big, at }) => [Number(id), String(big), new Date(String(at)).toISOString()]),
          aside: aside.map(({ field, reason, record }) => [field, reason, (JSON.parse(record) as { id: number }).id]),
          results: (await listQuality(store, { run: result.id })).map(({ name: rule, failed, checked, message }) => [
            rule,
            failed,
            checked,
            message,
          ]),
        })
      }
    expect(said[0]).toMatchObject({ read: pages * pageSize })
    for (const other of said.slice(1)) expect(other).toEqual(said[0])
    const kept = (id: number): boolean => {
      const { note, state, total } = orderAt(id)
      if (note === null || state === 'gone') return false
      return quality === sieved || (total <= 100 && id >= 10 && id <= 507)
    }
    const ids = Array.from({ length: pages * pageSize }, (_, id) => id).filter(kept)
    expect((said[0] as { rows: readonly (readonly [number, ...unknown[]])[] }).rows.map(([id]) => id)).toEqual(ids)
  }
})
