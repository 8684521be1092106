import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from '@ecokit/connect'
import { defineConnector, stream, type AnyConnection, type RestStream } from '@ecokit/contracts'
import { z } from 'zod'

/** A server on a port of its own. */
export const serve = async (
  answer: RequestListener,
): Promise<{ readonly url: string; readonly close: () => Promise<void> }> => {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** The roads that records take from a page into a sink. */
export const roads = ['bytes', 'objects'] as const
export type Road = (typeof roads)[number]

const pageSize = 500
/** A partner that gives the records in pages, and a connection to it whose streams all read them. */
export const openSource = async (
  schemas: Readonly<Record<string, { readonly schema: z.ZodType; readonly code?: Pick<RestStream, 'wire' | 'map'> }>>,
  records: readonly Buffer[],
): Promise<{ readonly source: AnyConnection; readonly close: () => Promise<void> }> => {
  const comma = Buffer.from(',')
  const server = await serve((request, response) => {
    const from = Number(new URL(request.url ?? '', 'http://localhost').searchParams.get('from') ?? 0)
    const until = from + pageSize
    const parts = records.slice(from, until).flatMap((record, at) => (at === 0 ? [record] : [comma, record]))
    const next = until < records.length ? `"${until}"` : 'null'
    response.setHeader('content-type', 'application/json')
    response.end(Buffer.concat([Buffer.from('{"rows":['), ...parts, Buffer.from(`],"next":${next}}`)]))
  })
  const { url } = server
  const rest = {
    path: 'rows',
    records: 'rows',
    paging: { kind: 'token', parameter: 'from', next: 'next' },
  } as const
  const source = connect(
    defineConnector(
      {
        id: 'fuzzed',
        title: 'Fuzzed',
        config: z.strictObject({ url: z.url() }),
        hosts: ['{url}'],
        streams: Object.fromEntries(
          Object.entries(schemas).map(([name, { schema, code }]) => [
            name,
            stream({ schema, primaryKey: ['k'], rest: { ...rest, ...code } } as never),
          ]),
        ),
      },
      () => ({ check: () => Promise.resolve({}) }),
    ),
    { name: 'fuzzed', config: { url } },
  ) as AnyConnection
  return {
    source,
    close: async () => {
      await source.close()
      await server.close()
    },
  }
}
