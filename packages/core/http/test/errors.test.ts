import { expect, test } from 'vitest'
import { z } from 'zod'
import type { HttpOptions } from '@ecokit/contracts'
import { failure, json, open, serve } from './support.ts'

const anything = z.unknown()
const post = { method: 'POST', path: 'runs/get', query: { secretish: 'never shown' }, body: {} }

test.for([
  [400, 'rejected', { status: 400 }, false],
  [401, 'unauthenticated', { status: 401 }, false],
  [403, 'forbidden', { status: 403 }, false],
  [404, 'not_found', { status: 404 }, false],
  [408, 'unavailable', { status: 408 }, true],
  [409, 'conflict', { status: 409 }, false],
  [410, 'not_found', { status: 410 }, false],
  [412, 'conflict', { status: 412 }, false],
  [413, 'rejected', { status: 413 }, false],
  [422, 'rejected', { status: 422 }, false],
  [423, 'conflict', { status: 423 }, false],
  [429, 'rate_limited', {}, true],
  [451, 'rejected', { status: 451 }, false],
  [500, 'unavailable', { status: 500 }, true],
  [501, 'unavailable', { status: 501 }, false],
  [503, 'unavailable', { status: 503 }, true],
] as const)('%i is %s', async ([status, code, details, retryable]) => {
  const { url } = await serve((_, response) => json(response, { message: 'so it is.' }, status))
  const error = await failure(open(url).http(`${url}/api`).json(post, anything), code)
  expect(error).toMatchObject({ details, retryable, partner: 'acme' })
  expect(Object.keys(error.details)).toEqual(Object.keys(details))
  expect(error.message).toMatch(new RegExp(`^acme: POST /api/runs/get was answered with ${status}: so it is\\. [A-Z]`))
  expect(error.message).not.toContain('never shown')
  expect(error.cause).toBeUndefined()
})

test.for([
  ['{"error_code":"X","message":"the reason"}', 'the reason'],
  ['{"error":{"code":5,"message":"the reason"}}', 'the reason'],
  ['{"error":"invalid_grant","error_description":"the reason"}', 'the reason'],
  ['{"errors":[{"detail":"the reason"}]}', 'the reason'],
  ['{"errors":["the reason","another"]}', 'the reason'],
  ['{"detail":[{"loc":["body"],"msg":"the reason"}]}', 'the reason'],
  ['[{"message":"the reason"}]', 'the reason'],
  ['the reason\n', 'the reason'],
  ['<!DOCTYPE html><html><head><title>the reason</title></head><body>a page</body></html>', 'the reason'],
  ['<html>a page</html>', ''],
  ['', ''],
  ['{"some":"thing"}', ''],
  ['{"message":{"message":{"message":{"message":{"message":"too deep"}}}}}', ''],
  ['{"broken', '{"broken'],
  ['{"message":"the \\u001b[31mreason\\u0000\\n\\r in\\u202e lines"}', 'the [31mreason in lines'],
  [`{"message":"${'long '.repeat(200)}"}`, `${'long '.repeat(60)}…`],
] as const)('the reason in %s', async ([body, reason]) => {
  const { url } = await serve((_, response) => response.writeHead(400).end(body))
  const error = await failure(open(url).http(url).json(post, anything), 'rejected')
  expect(error.message).toBe(
    `acme: POST /runs/get was answered with 400${reason === '' ? '' : `: ${reason}`}. Correct the request`,
  )
})
test('an error body that is not compressed as it says is left out', async () => {
  const { url } = await serve((_, response) => response.writeHead(409, { 'content-encoding': 'gzip' }).end('plain'))
  const error = await failure(open(url).http(url).json(post, anything), 'conflict')
  expect(error.message).toContain('was answered with 409. Look at')
})
test('an error body is read only so far', async () => {
  const { url } = await serve((_, response) => response.writeHead(400).end('x'.repeat(1_000_000)))
  const network = open(url)
  await failure(network.http(url).json(post, anything), 'rejected')
  expect(network.exchanges).toMatchObject([{ replyBytes: 65_536, status: 400, code: 'rejected' }])
})

test("a connector reads its partner's own errors", async () => {
  const { url } = await serve((_, response) =>
    json(response, { error_code: 'RESOURCE_DOES_NOT_EXIST', message: 'no run' }, 400, { 'x-request-id': 'r1' }),
  )
  const explain: HttpOptions['explain'] = ({ status, headers, body }) => ({
    code: 'not_found',
    partnerCode: (JSON.parse(body) as { error_code: string }).error_code,
    reason: `${String(headers.get('x-request-id'))} ${status}`,
  })
  const error = await failure(open(url).http(url, { explain }).json(post, anything), 'not_found')
  expect(error.details).toEqual({ status: 400, partnerCode: 'RESOURCE_DOES_NOT_EXIST' })
  expect(error.message).toBe(
    'acme: POST /runs/get was answered with 400 RESOURCE_DOES_NOT_EXIST: r1 400. Check the name or id that was asked for',
  )
})
test('what a connector leaves open, or fails to read, is filled in', async () => {
  const { url } = await serve((_, response) => json(response, { message: 'the reason' }, 409))
  for (const explain of [() => undefined, () => ({}), () => JSON.parse('broken') as undefined]) {
    const error = await failure(open(url).http(url, { explain }).json(post, anything), 'conflict')
    expect(error.message).toContain('the reason')
  }
})

test('a reply that does not fit names the field, the first one, and never what stood there', async () => {
  const { url } = await serve((_, response) =>
    json(response, { run: { info: { id: 'canary-value' }, tags: [{ key: 1 }, { key: 'canary-value' }] } }),
  )
  const wanted = z.object({ run: z.object({ tags: z.array(z.object({ key: z.enum(['a', 'b']).or(z.number()) })) }) })
  const error = await failure(open(url).http(url).json(post, wanted), 'invalid_reply')
  expect(error.details).toEqual({ field: 'run.tags.1.key', status: 200 })
  expect(error.message).toContain('run.tags.1.key: ')
  expect(error.message).not.toContain('canary-value')
  const whole = await failure(open(url).http(url).json(post, z.array(z.string())), 'invalid_reply')
  expect(whole.details).toEqual({ field: '', status: 200 })
})
test('a reply that is not JSON is not quoted', async () => {
  const { url } = await serve((_, response) =>
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<p>canary-value</p>'),
  )
  const error = await failure(open(url).http(url).json(post, anything), 'invalid_reply')
  expect(error.message).toBe(
    `acme: POST /runs/get was answered with 200 and a body that is not JSON (text/html). Is ${url} the address of the partner's API, with no proxy or login page in between?`,
  )
})
test('a schema that throws is a fault of ours', async () => {
  const { url } = await serve((_, response) => json(response, {}))
  const throwing = z.unknown().transform(() => {
    throw new Error('a mistake')
  })
  expect((await failure(open(url).http(url).json(post, throwing), 'internal')).message).toContain('a mistake')
})
test('a long path is cut in the message', async () => {
  const { url } = await serve((_, response) => json(response, {}, 404))
  const error = await failure(
    open(url)
      .http(url)
      .json({ method: 'GET', path: 'x'.repeat(5000) }, anything),
    'not_found',
  )
  expect(error.message.length).toBeLessThan(400)
})
