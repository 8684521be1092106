import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Signable } from '@ecokit/contracts'
import { failure, json, open, serve, text } from './support.ts'

const anything = z.unknown()
const get = { method: 'GET', path: 'a', query: { q: '1' }, headers: { 'x-tenant': 'mine', 'accept-language': 'de' } }
const authorizer = { authorize: ({ headers }: Signable) => headers.set('authorization', 'Bearer abc') }

test.for([301, 302, 303, 307, 308])('a read follows %i within the origin, with credentials', async (status) => {
  const { url, received } = await serve((_, response, count) =>
    count === 1 ? response.writeHead(status, { location: '/b?c=2' }).end('moved') : json(response, { count }),
  )
  const network = open(url, { authorizer })
  expect(await network.http(`${url}/api`).json(get, anything)).toEqual({ count: 2 })
  expect(received.map((request) => [request.url, request.headers.authorization, request.headers['x-tenant']])).toEqual([
    ['/api/a?q=1', 'Bearer abc', 'mine'],
    ['/b?c=2', 'Bearer abc', 'mine'],
  ])
  expect(network.exchanges.map(({ path, status: seen, attempt }) => [path, seen, attempt])).toEqual([
    ['/api/a', status, 1],
    ['/b', 200, 1],
  ])
  expect(network.requests()).toBe(2)
})
test('five redirects are followed, a sixth is not', async () => {
  const { url, received } = await serve((_, response, count) =>
    count % 7 === 6 ? json(response, {}) : response.writeHead(302, { location: `/${count}` }).end(),
  )
  const http = open(url).http(url)
  expect(await http.json(get, anything)).toEqual({})
  received.length = 0
  const { url: endless, received: seen } = await serve((_, response, count) =>
    response.writeHead(302, { location: `/${count}` }).end(),
  )
  const error = await failure(open(endless).http(endless).json(get, anything), 'invalid_reply')
  expect(error.message).toContain('more than 5 times')
  expect(seen).toHaveLength(6)
})

describe('to another origin', () => {
  test('that is declared, without anything that could be a credential, also on the way back', async () => {
    const home: { url?: string } = {}
    const other = await serve((request, response) =>
      request.url === '/back'
        ? response.writeHead(302, { location: `${String(home.url)}/end` }).end()
        : response.end('content'),
    )
    const { url, received } = await serve((request, response) =>
      request.url === '/end'
        ? response.end('the end')
        : response
            .writeHead(302, { location: `${other.url}${request.url === '/file' ? '/file?signature=1' : '/back'}` })
            .end(),
    )
    home.url = url
    const network = open(url, { hosts: ['{url}', '{other}'], config: { url, other: other.url }, authorizer })
    const http = network.http(url)
    const headers = { cookie: 'c=1', 'x-api-key': 'k', range: 'bytes=0-', accept: '*/*' }
    expect(await text((await http.request({ method: 'GET', path: 'file', headers })).body)).toBe('content')
    expect(other.received[0]?.url).toBe('/file?signature=1')
    expect(other.received[0]?.headers).toEqual({
      host: other.url.slice(7),
      connection: 'keep-alive',
      range: 'bytes=0-',
      accept: '*/*',
      'user-agent': 'ecokit',
    })
    expect(await text((await http.request({ method: 'GET', path: 'back', headers })).body)).toBe('the end')
    expect(received.at(-1)?.headers).not.toHaveProperty('authorization')
  })
  test.for([
    'https://evil.example/x',
    '//evil.example/x',
    'http://localhost:1/x',
    'file:///etc/passwd',
    'javascript:alert(1)',
  ])('that is not declared is refused: %s', async (location) => {
    const { url, received } = await serve((_, response) => response.writeHead(302, { location }).end())
    const error = await failure(open(url, { authorizer }).http(url).json(get, anything), 'host_not_allowed')
    expect(error.message).toContain('GET /a was sent on with 302: the host ')
    expect(received).toHaveLength(1)
  })
})
test('a call that is no GET is not sent on, and is told where it moved', async () => {
  const { url, received } = await serve((_, response) => response.writeHead(308, { location: '/b?token=abc' }).end())
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    const error = await failure(
      open(url).http(url).json({ method, path: 'a', effect: 'read' }, anything),
      'invalid_reply',
    )
    expect(error.message).toBe(
      `acme: ${method} /a was answered with 308: it has moved to ${url}/b. Correct the address in the config`,
    )
  }
  expect(received).toHaveLength(4)
})
test('other statuses of 300 and above are replies', async () => {
  const { url } = await serve((_, response) => response.writeHead(304, { location: '/b' }).end())
  expect((await open(url).http(url).request(get)).status).toBe(304)
})
test('a URL out of a reply follows redirects under the same rules, without credentials', async () => {
  const { url, received } = await serve((request, response) =>
    request.url === '/b'
      ? response.end('b')
      : response.writeHead(302, { location: request.url === '/a' ? '/b' : 'http://evil.example/' }).end(),
  )
  const http = open(url, { authorizer }).http(url)
  expect(await text((await http.foreign(`${url}/a`)).body)).toBe('b')
  await failure(http.foreign(`${url}/c`), 'host_not_allowed')
  expect(received.every(({ headers }) => headers.authorization === undefined)).toBe(true)
})
