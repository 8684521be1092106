import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const features = Array.from({ length: 5 }, (_, index) => ({
  name: `feature-${index}`,
  type: 'double',
  updated: new Date(Date.UTC(2026, 0, 1 + index)).toISOString(),
  owner: index === 0 ? null : 'risk',
}))

/** The invented platform: two features a page, sorted by time, for whoever has the token. */
export const startPlatform = async () => {
  const server = createServer((request, reply) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://local')
    const answer = (status: number, body: object) =>
      reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    if (request.headers.authorization !== 'Bearer let-me-in') return answer(401, { message: 'who are you?' })
    if (pathname === '/v1/status') return answer(200, { version: '1.4' })
    if (pathname === '/v1/features') {
      const found = features.filter((feature) => feature.updated >= (searchParams.get('since') ?? ''))
      const from = Number(searchParams.get('page') ?? 0)
      return answer(200, {
        features: found.slice(from, from + 2),
        next: from + 2 < found.length ? String(from + 2) : null,
      })
    }
    const one = features.find((feature) => pathname === `/v1/features/${feature.name}`)
    return answer(one === undefined ? 404 : 200, one ?? { message: 'no such feature' })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}
