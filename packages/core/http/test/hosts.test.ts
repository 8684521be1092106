import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isIntegrationError } from '@ecokit/contracts'
import { openNetwork, resolveHosts } from '../src/index.ts'
import { joinPath, withQuery } from '../src/address.ts'

const origins = (patterns: string[], config: unknown): string[] =>
  resolveHosts(patterns, config).map(({ origin }) => origin)
const codeOf = (work: () => unknown): { code: string; message: string; details: object } => {
  try {
    work()
  } catch (error) {
    if (isIntegrationError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

test('a field of the config gives its origin when it is a URL, https when it is a plain host', () => {
  expect(origins(['{trackingUri}'], { trackingUri: 'http://127.0.0.1:5001/some/path/' })).toEqual([
    'http://127.0.0.1:5001',
  ])
  expect(origins(['{server}'], { server: 'HTTPS://Example.com:443/x' })).toEqual(['https://example.com'])
  expect(origins(['{server}'], { server: 'dbc-1.cloud.databricks.com' })).toEqual([
    'https://dbc-1.cloud.databricks.com',
  ])
  expect(origins(['{a.b}'], { a: { b: 'localhost:8080' } })).toEqual(['https://localhost:8080'])
})
test('a field inside a host name, a fixed host and a fixed scheme', () => {
  expect(origins(['api.{site}', 'http-intake.logs.{site}'], { site: 'datadoghq.eu' })).toEqual([
    'https://api.datadoghq.eu',
    'https://http-intake.logs.datadoghq.eu',
  ])
  expect(origins(['api.example.com', 'http://localhost:{port}'], { port: 81 })).toEqual([
    'https://api.example.com',
    'http://localhost:81',
  ])
})
test('a host whose field is not set is left out', () => {
  expect(origins(['{server}', '{artifacts}', 'x.{site}'], { server: 'https://a.example', site: '' })).toEqual([
    'https://a.example',
  ])
})
test.for([
  ['{server}', { server: 'ftp://example.com' }, 'config.server'],
  ['{server}', { server: 'file:///etc' }, 'config.server'],
  ['{server}', { server: 'not a host' }, 'config.server'],
  ['{server}', { server: 'https://user:hunter2@example.com' }, 'config.server'],
  ['{server}', { server: ['https://example.com'] }, 'config.server'],
  ['api.{site}', { site: 'evil.com/' }, 'config.site'],
  ['api.{site}', { site: 'evil.com#' }, 'config.site'],
  ['api.{site}', { site: 'x@evil.com' }, 'config.site'],
  ['api.{site}', { site: 'https://evil.com' }, 'config.site'],
  ['{account}.example.com', { account: 'evil.com/?' }, 'config.account'],
  ['{account}.example.com', { account: 'evil.com\\' }, 'config.account'],
] as const)('%s refuses %o and names the field', ([pattern, config, field]) => {
  const error = codeOf(() => resolveHosts([pattern], config, 'acme'))
  expect(error).toMatchObject({ code: 'invalid_config', details: { field } })
  expect(error.message).toContain(field)
  expect(error.message).not.toContain('hunter2')
})
test('a pattern that is no host is a fault of the manifest', () => {
  expect(codeOf(() => resolveHosts(['no host'], {})).code).toBe('internal')
})

const baseOf = (url: string) => {
  const network = openNetwork({ partner: 'acme', hosts: ['https://api.example.com'], config: {} })
  return network.http(url)
}
test('a base URL of another host, scheme or port is refused and named', () => {
  for (const url of [
    'https://evil.example',
    'http://api.example.com',
    'https://api.example.com:8443',
    'https://api.example.com.',
    'evil.example/api.example.com',
  ])
    expect(codeOf(() => baseOf(url))).toMatchObject({ code: 'host_not_allowed' })
  expect(codeOf(() => baseOf('https://evil.example:99/x')).message).toContain('https://evil.example:99')
  expect(codeOf(() => baseOf('https://evil.example:99/x')).details).toEqual({ host: 'evil.example:99' })
})
test('a base URL with user name, query or fragment is refused without being quoted', () => {
  for (const url of [
    'https://u:word@api.example.com',
    'https://api.example.com/?word=1',
    'https://api.example.com/#/word',
    'javascript:word',
    '',
  ])
    expect(codeOf(() => baseOf(url))).toMatchObject({ code: 'invalid_config' })
  expect(codeOf(() => baseOf('https://u:word@api.example.com')).message).not.toContain('word')
})
test('a base URL may be given as a plain host', () => {
  expect(baseOf('api.example.com/v1')).toHaveProperty('json')
})

const base = { origin: 'https://api.example.com', path: '/api/2.0/', prefix: '/api/2.0' }
const join = (path: string): string => joinPath('acme', base, path)
test('the path of the base URL is kept, with and without slashes', () => {
  expect(join('runs/search')).toBe('/api/2.0/runs/search')
  expect(join('/runs/search')).toBe('/api/2.0/runs/search')
  expect(join('runs/get?run_id=1')).toBe('/api/2.0/runs/get?run_id=1')
  expect(join('')).toBe('/api/2.0/')
  expect(join('?a=..')).toBe('/api/2.0/?a=..')
  expect(join('jobs:submit')).toBe('/api/2.0/jobs:submit')
  expect(join('a..b/.hidden/..c/...')).toBe('/api/2.0/a..b/.hidden/..c/...')
})
test('what cannot stand in a path is encoded, what is encoded already stays', () => {
  expect(join('a b/ü/%20/#x')).toBe('/api/2.0/a%20b/%C3%BC/%20/%23x')
  expect(join('a\\b\r\nHost: evil')).toBe('/api/2.0/a%5Cb%0D%0AHost:%20evil')
  expect(join('\ud800')).toBe('/api/2.0/%EF%BF%BD')
})
test.for([
  '..',
  '.',
  '../x',
  'a/../b',
  'a/..',
  './a',
  '%2e%2e/x',
  'a/.%2E/b',
  '/../x',
  '//../x',
  'https://evil.example/x',
  'HTTP://evil.example',
])('the path %s is refused', (path) => {
  expect(codeOf(() => join(path))).toMatchObject({ code: 'invalid_input', details: { field: 'path' } })
})

const nasty = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      '..',
      '/',
      '//',
      '\\',
      '.',
      '@',
      ':',
      '?',
      '#',
      '%2e',
      '%2f',
      '%5c',
      'http:',
      'https://',
      'evil.example',
      '\r\n',
      '\t',
      ' ',
      '[::1]',
      'user:pass@',
    ),
    fc.string({ unit: 'binary', maxLength: 2 }),
  ),
  maxLength: 12,
})
const pathOrCode = (path: string): string => {
  try {
    return join(path)
  } catch (error) {
    return isIntegrationError(error) ? error.code : String(error)
  }
}
test('whatever a path holds, the request stays below the base URL', () => {
  fc.assert(
    fc.property(nasty, (path) => {
      const joined = pathOrCode(path)
      if (joined === 'invalid_input') return
      // undici's own rule for what may stand in a request line (lib/core/request.js).
      expect(joined).toMatch(/^[\u0021-\u00ff]+$/)
      const url = new URL(base.origin + joined)
      expect(url.origin).toBe(base.origin)
      expect(url.username + url.password + url.hash).toBe('')
      expect(url.pathname.startsWith('/api/2.0/')).toBe(true)
      expect(new URL(joined, 'https://other.example').pathname).toBe(url.pathname)
    }),
    { numRuns: 5000 },
  )
})
test('every query comes back as it was', () => {
  const values = fc.string({ unit: 'grapheme' })
  fc.assert(
    fc.property(fc.dictionary(values, fc.oneof(values, fc.array(values), fc.constant(undefined))), (query) => {
      const url = new URL(`https://api.example.com${withQuery('/x?first=1', query)}`)
      const wanted = Object.entries(query).flatMap(([name, value]) =>
        value === undefined ? [] : [value].flat().map((item) => [name, item]),
      )
      expect([...url.searchParams]).toEqual([['first', '1'], ...wanted])
    }),
  )
})
