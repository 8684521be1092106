import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { AnyRecord, Signable } from '@ecokit/contracts'
import { open, serve, text, type Received } from './support.ts'

const canaries = ['c4nary-t0ken', 'pä$$ wörd/+&"\\', 'Zm9v+YmFy/cXV4==', 'a:b c%20d'] as const
const basic = `Basic ${Buffer.from(`user:${canaries[1]}`).toString('base64')}`
/** What a message may hold in no form: the secrets, and the header that was made of one. */
const forms = [...canaries, basic.slice(6)].flatMap((secret) => [
  secret,
  encodeURIComponent(secret),
  JSON.stringify(secret).slice(1, -1),
  Buffer.from(secret).toString('base64'),
  Buffer.from(secret).toString('base64').replace(/=+$/, ''),
  Buffer.from(secret).toString('base64url'),
  Buffer.from(secret).toString('hex'),
])

/** A server's ways to tell what it was sent. */
const echoes: Record<string, (all: string, request: Received, response: ServerResponse) => void> = {
  text: (all, _, response) => response.writeHead(400).end(all),
  message: (all, _, response) =>
    response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify({ message: all })),
  base64: (all, _, response) => response.writeHead(403).end(Buffer.from(all).toString('base64')),
  shifted: (all, _, response) => response.writeHead(404).end(Buffer.from(`x${all}`).toString('base64url')),
  hex: (all, _, response) => response.writeHead(409).end(Buffer.from(all).toString('hex')),
  url: (all, _, response) => response.writeHead(500).end(encodeURIComponent(all)),
  html: (all, _, response) => response.writeHead(502).end(`<html><title>${all}</title></html>`),
  gzip: (all, _, response) => response.writeHead(503, { 'content-encoding': 'gzip' }).end(gzipSync(all)),
  late: (all, _, response) => response.writeHead(422).end(`${'x'.repeat(290)}${all}`),
  notJson: (all, _, response) => response.writeHead(200, { 'content-type': canaries[0] }).end(all),
  wrongShape: (all, _, response) =>
    response.writeHead(200).end(JSON.stringify({ [canaries[0]]: all, value: { [canaries[2]]: all } })),
  location: (_, __, response) =>
    response
      .writeHead(302, { location: `https://${canaries[0]}.evil.example/${encodeURIComponent(canaries[1])}` })
      .end(),
  locationPath: (_, __, response) => response.writeHead(308, { location: `/${canaries[0]}?${canaries[2]}` }).end(),
  link: (_, __, response) =>
    response.writeHead(200, { link: `<https://${canaries[0]}.evil.example>; rel=next` }).end('{"value":{}}'),
  invalid: (all, _, response) => void response.socket?.end(`HTTP/1.1 200 OK\r\n${all}\r\n\r\n`),
  status: (all, _, response) => void response.socket?.end(`HTTP/1.1 400 ${all}\r\ncontent-length: 0\r\n\r\n`),
}
const authorizers: Record<string, (request: Signable) => void> = {
  bearer: ({ headers }) => headers.set('authorization', `Bearer ${canaries[0]}`),
  basic: ({ headers }) => headers.set('authorization', basic),
  header: ({ headers }) => headers.set('x-api-key', canaries[2]),
  query: ({ url }) => url.searchParams.set('key', canaries[3]),
}
const schema = z.object({ value: z.record(z.string(), z.number()) }) as unknown as z.ZodType<AnyRecord>

test.for(Object.entries(echoes))(
  'a server that tells what it was sent (%s): no secret shows in an error or an exchange',
  async ([, echo]) => {
    const { url } = await serve((request, response) =>
      echo(
        `${JSON.stringify(request.headers)} ${request.url} ${decodeURIComponent(request.url)} ${canaries.join(' ')}`,
        request,
        response,
      ),
    )
    const seen: unknown[] = []
    for (const authorize of Object.values(authorizers)) {
      const network = open(url, { authorizer: { authorize }, secrets: canaries })
      const plain = network.http(url)
      const talkative = network.http(url, {
        explain: ({ headers, body }) => ({
          partnerCode: `${body} ${[...headers].join()}`,
          reason: `${[...headers].join()} ${body}`,
        }),
      })
      for (const http of [plain, talkative])
        for (const work of [
          () => http.json({ method: 'GET', path: `x/${canaries[0]}` }, schema),
          () => http.json({ method: 'POST', path: 'x', body: { canaries } }, schema),
          () => Array.fromAsync(http.pages({ method: 'GET', path: 'x' }, z.unknown(), { kind: 'link' })),
          () => http.request({ method: 'GET', path: 'x' }).then(({ body }) => text(body)),
          () => http.foreign(`${url}/${canaries[0]}?${canaries[0]}`).then(({ body }) => text(body)),
          () => http.foreign(`https://${canaries[0]}.example/`),
        ])
          seen.push(
            await work().then(
              () => 'no error',
              (error: unknown) => error,
            ),
          )
      seen.push(network.exchanges)
      await network.close()
    }
    const errors = seen.filter((each) => each instanceof Error)
    expect(errors.length).toBeGreaterThan(8)
    for (const each of seen) {
      const shown = `${inspect(each, { depth: 9, showHidden: true, maxStringLength: null })} ${JSON.stringify(each)} ${each instanceof Error ? `${each.message} ${String(each.cause)}` : ''}`
      for (const form of forms) expect(shown).not.toContain(form)
    }
  },
)
test('what only the authorizer knows is hidden too', async () => {
  const { url } = await serve(({ headers, url: path }, response) =>
    response.writeHead(400).end(`${String(headers.authorization)} ${path}`),
  )
  const network = open(url, {
    authorizer: {
      authorize: ({ headers, url: address }) => {
        headers.set('authorization', 'Bearer fresh-token-of-today')
        address.searchParams.set('signature', 'signature-of-today')
      },
    },
  })
  const error = await network
    .http(url)
    .json({ method: 'GET', path: 'x', query: { q: 'what-was-asked' } }, schema)
    .catch((reason: unknown) => reason)
  expect(String(error)).toContain('what-was-asked')
  expect(String(error)).not.toMatch(/fresh-token-of-today|signature-of-today/)
})
