import { afterAll, beforeAll, beforeEach, expect, expectTypeOf, test } from 'vitest'
import type { AnyConnection, ErrorCode } from '@ecokit/contracts'
import { integrationError, isIntegrationError } from '@ecokit/contracts'
import { connect, connectUnknown, use } from '../src/index.ts'
import type { CallEvent } from '../src/index.ts'
import { answer, inside, notes, platform, startServer } from './platform.ts'
import { failure, openPlatform } from './support.ts'
import type { Handler } from './platform.ts'

let handler: Handler
let server: Awaited<ReturnType<typeof startServer>>
beforeAll(async () => {
  server = await startServer((request, response) => handler(request, response))
})
afterAll(() => server.stop())
beforeEach(() => {
  handler = (request, response) => {
    const url = new URL(request.url ?? '', 'http://x')
    if (url.pathname === '/about') {
      answer(response, 200, { version: '1.2' })
      return
    }
    if (url.pathname === '/notes') {
      if (request.method === 'POST') {
        answer(response, 200, { id: '9', text: 'made' })
        return
      }
      const page = Number(url.searchParams.get('page') ?? 0)
      const items = [0, 1].map((at) => ({ id: String(page * 2 + at), text: 't' }))
      answer(response, 200, { items, ...(page < 2 && { next: String(page + 1) }) })
      return
    }
    answer(response, 200, { id: '5', text: 'five' })
  }
  Object.assign(inside, { ended: [], batches: [], throws: undefined, closed: 0 })
})

const open = (runtime = {}) => openPlatform(server.url, runtime)

test('operations are typed, checked on both sides and filled with defaults', async () => {
  const connection = open()
  const note = await connection.notes.get({ id: '5' })
  expectTypeOf(note.stars).toEqualTypeOf<number>()
  expect(note).toEqual({ id: '5', text: 'five', stars: 0 })
  const found: string[] = []
  for await (const each of connection.notes.search({})) found.push(each.id)
  expect(found).toEqual(['0', '1', '2', '3', '4', '5'])
  await connection.close()
})

test('input that the schema refuses is not sent, and the message names operation and field', async () => {
  handler = () => expect.fail('a request was sent')
  const connection = open()
  const error = await failure(() => connection.notes.get({ id: 5 as never }))
  expect(error).toMatchObject({ code: 'invalid_input', details: { field: 'id' }, partner: 'notes-prod' })
  expect(error.message).toContain('notes-prod: notes.get: id: ')
  expect((await failure(() => connection.notes.search({ wrod: 'x' } as never))).message).toContain(
    'notes.search: wrod: ',
  )
  await connection.close()
})

test('an answer that does not fit is an invalid reply, in a sequence too', async () => {
  handler = (_request, response) => answer(response, 200, { id: 7, items: [{ id: '1', text: 't' }, { id: '2' }] })
  const connection = open()
  expect(await failure(() => connection.notes.get({ id: '7' }))).toMatchObject({
    code: 'invalid_reply',
    details: { field: 'id' },
  })
  expect((await failure(() => connection.notes.search({}))).message).toContain(
    'notes.search: the answer does not fit its schema at text',
  )
  expect(inside.ended).toEqual(['search'])
  await connection.close()
})

test('a sequence that is left early ends its source', async () => {
  const connection = open()
  for await (const note of connection.notes.search({})) if (note.id === '2') break
  expect(inside.ended).toEqual(['search'])
  await connection.close()
})

test('config and credentials are refused at once, by field and without a value', () => {
  const attempt = (config: unknown, credentials?: unknown) => {
    try {
      connectUnknown(platform, { name: 'p', config, credentials })
      return undefined
    } catch (error) {
      if (!isIntegrationError(error)) throw error
      return [error.code, (error.details as { field: string }).field, error.message]
    }
  }
  const config = { url: server.url }
  expect(attempt({ url: 'x' })).toEqual(['invalid_config', 'config.url', 'p: config.url: Invalid URL'])
  expect(attempt({ ...config, ulr: 'x' })).toEqual([
    'invalid_config',
    'config.ulr',
    'p: config.ulr: Unrecognized key: "ulr"',
  ])
  expect(attempt(undefined)?.slice(0, 2)).toEqual(['invalid_config', 'config'])
  expect(attempt(config, { scheme: 'token' })?.slice(0, 2)).toEqual(['invalid_credentials', 'credentials.token'])
  expect(attempt(config, { scheme: 'tokn', token: 'canary-2' })).toEqual([
    'invalid_credentials',
    'credentials.scheme',
    'p: credentials.scheme: no such scheme; write one of: none, token, password',
  ])
  expect(attempt(config, { scheme: 'toString' })?.slice(0, 2)).toEqual(['invalid_credentials', 'credentials.scheme'])
  expect(attempt(config, { token: 'canary-2' })?.slice(0, 2)).toEqual(['invalid_credentials', 'credentials.scheme'])
  expect(attempt(config, 'canary-2')?.slice(0, 2)).toEqual(['invalid_credentials', 'credentials'])
  expect(attempt(config, { scheme: 'token', token: 'canary 2' })?.slice(0, 2)).toEqual([
    'invalid_credentials',
    'credentials.token',
  ])
  const bad = attempt(config, { scheme: 'password', user: 'u', password: 'bad' })
  expect(bad?.slice(0, 2)).toEqual(['invalid_credentials', 'credentials.password'])
  for (const credentials of [{ scheme: 'tokn', token: 'canary-2' }, 'canary-2', { scheme: 'token', token: 'canary 2' }])
    expect(JSON.stringify(attempt(config, credentials))).not.toMatch(/canary.2/)
  // A scheme of kind `none` is what nothing means.
  expect(attempt(config)).toBeUndefined()
})

test('a secret that a connector puts into an error is hidden, and only an exposed scheme hands one over', async () => {
  const as = {
    config: { url: server.url },
    credentials: { scheme: 'password', user: 'u', password: 'canary-3' },
  } as const
  const connection = connect(platform, as)
  const error = await failure(() => connection.notes.create({ text: 'x' }))
  expect(error.message).toBe(
    'platform: notes.create failed inside the connector: no entry with ***. Report it to the maker of the connector',
  )
  expect(error.code).toBe('internal')
  await connection.close()
})

test('whatever a connector throws leaves as an IntegrationError that names the partner', async () => {
  const connection = open()
  const thrown: [unknown, ErrorCode][] = [
    [new TypeError('x is not a function'), 'internal'],
    [new DOMException('stop', 'AbortError'), 'cancelled'],
    [integrationError('conflict', { what: 'held by canary-1', details: { partnerCode: 'canary-1' } }), 'conflict'],
    [integrationError('not_found', { partner: 'other', what: 'gone', details: {} }), 'not_found'],
    ['a text', 'internal'],
    [undefined, 'internal'],
  ]
  for (const [value, code] of thrown) {
    inside.throws = value
    const error = await failure(() => connection.notes.forget({ id: '1' }))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(/^(notes-prod|other): /)
    expect(JSON.stringify([error, error.message])).not.toContain('canary')
  }
  await connection.close()
})

test('the caller can cancel, and closing ends what waits', async () => {
  let waiting = 0
  handler = () => (waiting += 1)
  const connection = open()
  const controller = new AbortController()
  const cancelled = failure(() => connection.notes.get({ id: '1' }, { signal: controller.signal }))
  const closed = [failure(() => connection.notes.get({ id: '2' })), failure(() => connection.notes.search({}))]
  await expect.poll(() => waiting).toBe(3)
  controller.abort()
  expect((await cancelled).code).toBe('cancelled')
  await Promise.all([connection.close(), connection.close()])
  for (const error of await Promise.all(closed))
    expect(error).toMatchObject({
      code: 'cancelled',
      message: 'notes-prod: the connection is closed. Connect again to go on',
    })
  expect(inside.closed).toBe(1)
  expect((await failure(() => connection.notes.get({ id: '1' }, { signal: AbortSignal.abort() }))).code).toBe(
    'cancelled',
  )
})

test('a stream of bytes still follows its signal after the call, and so does a writer', async () => {
  handler = (_request, response) => response.write('first')
  const connection = open()
  for (const end of ['cancel', 'close']) {
    const controller = new AbortController()
    const body = (await connection.notes.load({}, { signal: controller.signal })) as ReadableStream<Uint8Array>
    const reader = body.getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('first')
    const rest = failure(() => reader.read())
    if (end === 'cancel') controller.abort()
    else await connection.close()
    expect((await rest).code).toBe('cancelled')
  }
})

test('after close every way in says that the connection is closed', async () => {
  const connection = open()
  await connection.close()
  const ways = [
    () => connection.notes.get({ id: '1' }),
    () => connection.notes.search({}),
    () => connection.check(),
    () => connection.read('rows'),
    () => connection.discover(),
    () => connection.write('tables', { table: { name: 't', schema: {} }, disposition: 'append', run: 'r', key: 'k' }),
    () => connection.call('notes', 'get', { id: '1' }),
  ]
  for (const way of ways)
    expect(await failure(way)).toMatchObject({
      code: 'cancelled',
      message: expect.stringContaining('is closed') as string,
    })
  expect((await failure(() => connection.http().request({ method: 'GET', path: 'about' }))).code).toBe('cancelled')
})

test('the observer hears of every call once, and may fail without harm', async () => {
  const events: CallEvent[] = []
  const connection = open({
    observer: (event: CallEvent) => {
      events.push(event)
      throw new Error('observer')
    },
  })
  await Promise.all([connection.notes.get({ id: '1' }), connection.check()])
  await failure(() => connection.notes.get({} as never))
  for await (const note of connection.notes.search({})) note
  for await (const batch of connection.read('rows')) batch
  for await (const table of connection.discover()) table
  const writer = await connection.write('tables', {
    table: { name: 't', schema: {} },
    disposition: 'append',
    run: 'r',
    key: 'k',
  })
  await writer.write({ encoding: 'records', records: [{ a: 1 }, { a: 2 }] })
  await writer[Symbol.asyncDispose]()
  await failure(() =>
    connection.write('tables', { table: { name: 't', schema: {} }, disposition: 'overwrite', run: 'r', key: 'k' }),
  )
  const told = events.map(({ startedAt, durationMs, ...event }) => {
    expect([startedAt > 0, durationMs >= 0]).toEqual([true, true])
    return event
  })
  const call = { partner: 'notes-prod', kind: 'call', effect: 'read' }
  expect(told.slice(0, 2)).toEqual(
    expect.arrayContaining([
      { ...call, name: 'notes.get', requests: 1 },
      { ...call, kind: 'check', name: 'check', requests: 1 },
    ]),
  )
  expect(told.slice(2)).toEqual([
    { ...call, name: 'notes.get', requests: 0, code: 'invalid_input' },
    { ...call, name: 'notes.search', requests: 3, records: 6 },
    { ...call, kind: 'read', name: 'rows', requests: 0, records: 3 },
    { ...call, kind: 'discover', name: 'discover', requests: 0, records: 1 },
    { ...call, kind: 'write', name: 'tables', effect: 'write', requests: 0, records: 2 },
    { ...call, kind: 'write', name: 'tables', effect: 'write', requests: 0, code: 'unsupported' },
  ])
  await connection.close()
})

test('a connection of unknown make is called by name, and gives typed capabilities', async () => {
  const connection: AnyConnection = connectUnknown(platform, { config: { url: server.url } })
  expect(connection.name).toBe('platform')
  expect(await connection.call('notes', 'get', { id: '5' })).toMatchObject({ text: 'five' })
  const error = await failure(() => connection.call('notes', 'find', {}))
  expect(error).toMatchObject({
    code: 'unsupported',
    message: 'platform: there is no operation notes.find. Choose one of: search, get, create, load, forget',
  })
  for (const name of ['no', 'toString', 'check'])
    expect((await failure(() => connection.call(name, 'get', {}))).code).toBe('unsupported')
  expect((await failure(() => connection.call('notes', 'constructor', {}))).code).toBe('unsupported')
  const api = use(connection, notes)
  expect((await api?.get({ id: '5' }))?.text).toBe('five')
  expect(use(connection, { ...notes, version: 2 })).toBeUndefined()
  expect(use(connection, { ...notes, id: 'test.other' })).toBeUndefined()
  const newer = { ...notes, operations: { ...notes.operations, rename: notes.operations.create } }
  expect((await failure(() => use(connection, newer)?.rename({ text: 'x' }))).code).toBe('unsupported')
  await connection.close()
})

test('what a connector declares and does not implement is named', async () => {
  const broken = { ...platform, open: () => ({ check: async () => ({}) }) }
  const connection = connectUnknown(broken, { config: { url: server.url } })
  const options = { table: { name: 't', schema: {} }, disposition: 'append', run: 'r', key: 'k' } as const
  const ways: [() => unknown, string][] = [
    [() => connection.call('notes', 'get', { id: '1' }), 'notes.get'],
    [() => connection.read?.('rows'), 'the stream rows'],
    [() => connection.discover?.(), 'discover'],
    [() => connection.write?.('tables', options), 'the sink tables'],
  ]
  for (const [way, name] of ways)
    expect(await failure(way)).toMatchObject({
      code: 'internal',
      message: expect.stringContaining(`declares ${name} and does not implement it`) as string,
    })
  await connection.close()
})

test('another contract version and a connector that cannot be opened are refused with words', () => {
  const as = { config: { url: server.url } }
  const attempt = (connector: object) => () => connectUnknown(connector as typeof platform, as)
  expect(attempt({ ...platform, contract: 2 })).toThrow('platform: the connector platform is made for contract 2')
  const fails = () => {
    throw new Error('no luck')
  }
  expect(attempt({ ...platform, open: fails })).toThrow('platform: open failed inside the connector: no luck')
})

test('the way out reaches the declared host and no other', async () => {
  const connection = open()
  const reply = await connection.http().request({ method: 'GET', path: 'about' })
  expect(reply.status).toBe(200)
  await reply.body.cancel()
  const elsewhere = await failure(async () =>
    connection.http('http://127.0.0.1:1').request({ method: 'GET', path: '' }),
  )
  expect(elsewhere.code).toBe('host_not_allowed')
  await connection.close()
})
