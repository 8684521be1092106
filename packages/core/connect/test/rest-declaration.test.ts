import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { isIntegrationError } from '@ecokit/contracts'
import type { Manifest, RestStream, Stream } from '@ecokit/contracts'
import { restFault } from '../src/reading.ts'
import type { declaration } from '../src/rest/declaration.ts'
import { declared, openStreams } from './rest-support.ts'

const Item = z.object({ id: z.int(), at: z.iso.datetime() })
const since = { parameter: 'since' }
const until = { in: 'body', parameter: 'until' } as const
const window = { windowMs: 86_400_000, from: '2026-01-01', since, until }
const page = { kind: 'page', parameter: 'page' } as const

/** A stream as somebody without a compiler writes it. */
const written = (rest: object | undefined): Stream =>
  declared({ schema: Item, primaryKey: ['id'], cursor: 'at', rest: rest as RestStream })
const parents = declared({ schema: z.object({ id: z.int() }), rest: { path: 'parents' } })
const open = (rest: object) => openStreams('http://127.0.0.1:1', { parents, items: written({ path: 'list', ...rest }) })

describe('what no field of a declared stream may say is told when connecting', () => {
  test.each<[rest: object, said: string]>([
    [
      { record: 'items' },
      'rest.record: there is no such field; choose one of: base, method, path, query, headers, body, records,',
    ],
    [{ path: undefined, pth: 'list' }, 'rest.pth: there is no such field'],
    [{ path: undefined }, 'rest.path: missing; it must be a text'],
    [{ method: 'PUT' }, 'rest.method: must be one of: GET, POST, not "PUT"'],
    [{ base: '' }, 'rest.base: must be a text that is not empty'],
    [{ query: { limit: 100 } }, 'rest.query.limit: must be a text or a list of texts, not 100'],
    [{ query: { many: ['a', 1] } }, 'rest.query.many: must be a text or a list of texts'],
    [{ headers: { 'x-version': 2 } }, 'rest.headers.x-version: must be a text, not 2'],
    [{ headers: 'x-version: 2' }, 'rest.headers: must be an object of texts'],
    [{ method: 'POST', body: [] }, 'rest.body: must be an object, not a list'],
    [{ body: { view: 'all' } }, 'a body is sent with method POST only'],
    [{ records: '' }, 'rest.records: must be a dotted path, like data.items'],
    [{ records: 'data..items' }, 'rest.records: must be a dotted path'],
    [{ mayLack: 'yes' }, 'rest.mayLack: must be true or false, not "yes"'],
    [{ paging: 'link' }, 'rest.paging: must be an object, not "link"'],
    [{ paging: { parameter: 'page' } }, 'rest.paging.kind: missing; choose one of: token, offset, page, link, url'],
    [
      { paging: { kind: 'tokens', next: 'next' } },
      'rest.paging.kind: there is no paging of the kind tokens; choose one of: token, offset',
    ],
    [{ paging: { kind: 'token', parameter: 'after' } }, 'rest.paging.next: missing; it must be a text'],
    [{ paging: { kind: 'token', parameter: 'after', next: 'data.' } }, 'rest.paging.next: must be a dotted path'],
    [
      { paging: { kind: 'token', param: 'after', next: 'next' } },
      'rest.paging.param: there is no such field; choose one of: kind, in, parameter, next',
    ],
    [{ paging: { kind: 'link', next: 'next' } }, 'rest.paging.next: there is no such field; choose one of: kind'],
    [{ paging: { ...page, size: 0 } }, 'rest.paging.size: must be a whole number above 0, not 0'],
    [{ paging: { ...page, size: '100' } }, 'rest.paging.size: must be a whole number above 0, not "100"'],
    [{ paging: { ...page, first: -1 } }, 'rest.paging.first: must be a whole number, 0 or above, not -1'],
    [{ paging: { ...page, in: 'header' } }, 'rest.paging.in: must be one of: query, body, not "header"'],
    [{ pageSize: { parameter: 'limit', size: 0 } }, 'rest.pageSize.size: must be a whole number above 0, not 0'],
    [{ pageSize: { parameter: 'limit', size: 2.5 } }, 'rest.pageSize.size: must be a whole number above 0, not 2.5'],
    [
      { pageSize: { param: 'limit', size: 10 } },
      'rest.pageSize.param: there is no such field; choose one of: in, parameter, size',
    ],
    [
      { incremental: { since, form: 'unix' } },
      'rest.incremental.form: must be one of: iso, date, epoch_ms, epoch_s, as_is, not "unix"',
    ],
    [
      { incremental: { since, lagMs: -1 } },
      'rest.incremental.lagMs: must be a number of milliseconds, 0 or above, not -1',
    ],
    [
      { incremental: { since, lagMs: NaN } },
      'rest.incremental.lagMs: must be a number of milliseconds, 0 or above, not NaN',
    ],
    [{ incremental: { since: 'since' } }, 'rest.incremental.since: must be an object, not "since"'],
    [{ incremental: {} }, 'rest.incremental.since: missing'],
    [
      { partitions: { parent: 'parents', field: { id: 'id' } } },
      'rest.partitions.field: there is no such field; choose one of: parent, fields',
    ],
    [{ partitions: { ...window, windowMs: 0 } }, 'rest.partitions.windowMs: must be a whole number above 0, not 0'],
    [{ partitions: { ...window, windowMs: -1 } }, 'rest.partitions.windowMs: must be a whole number above 0, not -1'],
    [
      { partitions: { ...window, from: 'January' } },
      'rest.partitions.from: must be a date or a time with its zone, like 2026-01-31T00:00:00Z, not "January"',
    ],
    [
      { partitions: { ...window, from: '2026-01-01T00:00:00' } },
      'rest.partitions.from: must be a date or a time with its zone',
    ],
    [{ partitions: { ...window, from: '2026-02-30' } }, 'rest.partitions.from: must be a date or a time with its zone'],
    [
      { partitions: { ...window, form: 'as_is' } },
      'rest.partitions.form: must be one of: iso, date, epoch_ms, epoch_s, not "as_is"',
    ],
    [
      { partitions: { ...window, untill: until } },
      'rest.partitions.untill: there is no such field; choose one of: windowMs, from, since, until, form',
    ],
    [{ partitions: 'parents' }, 'rest.partitions: must be an object, not "parents"'],
    [{ changes: 'digest' }, 'rest.changes: must be compare, not "digest"'],
    [{ wire: {}, map: () => ({}) }, 'rest.wire: must be a zod schema, not an object'],
    [{ wire: Item, map: 'row' }, 'rest.map: must be a function, not "row"'],
    [{ http: 30_000 }, 'rest.http: must be an object, not 30000'],
  ])('%j', (rest, said) => {
    let thrown: unknown
    try {
      open(rest)
    } catch (error) {
      thrown = error
    }
    expect(isIntegrationError(thrown, 'internal')).toBe(true)
    expect(String(thrown)).toContain(`the stream items is declared wrongly: ${said}`)
    // Said in one line, however much is wrong.
    expect(String(thrown)).not.toContain('\n')
  })

  test.each([true, null, 'list'])('a declaration that is %j', (rest) => {
    const manifest = { hosts: ['{url}'], streams: { items: { schema: Item, rest } } } as unknown as Manifest
    expect(restFault(manifest, 'items')).toBe(`rest: must be an object, not ${JSON.stringify(rest)}`)
  })

  test('a parent that is declared wrongly', () => {
    const streams = {
      items: written({ path: '{id}', partitions: { parent: 'parents', fields: { id: 'id' } } }),
      parents: declared({ schema: z.object({ id: z.int() }), rest: { path: 'parents', partitions: 'all' as never } }),
    }
    expect(() => openStreams('http://127.0.0.1:1', streams)).toThrow(
      'the stream items is declared wrongly: its parent parents is declared wrongly: rest.partitions: must be an object',
    )
  })

  test('a long text is not shown whole', () => {
    const thrown = () => open({ method: 'x'.repeat(500) })
    expect(thrown).toThrow('…')
    expect(thrown).not.toThrow('x'.repeat(100))
  })
})

test.each<[string, object]>([
  ['nothing but a path', {}],
  ['nothing where the base is the list', { path: '' }],
  ['fields that are given as undefined', { records: undefined, paging: undefined, incremental: undefined }],
  [
    'all fields of a list',
    {
      base: '{url}/api',
      method: 'POST',
      query: { q: 'a', many: ['a', 'b'] },
      headers: { accept: 'application/json' },
      body: { deep: [{ any: 1 }] },
      records: 'data.items',
      mayLack: true,
      paging: { ...page, in: 'body', first: 0, size: 100 },
      pageSize: { in: 'body', parameter: 'limit', size: 100 },
      incremental: { since, until, form: 'as_is', lagMs: 0, ordered: false },
      wire: Item,
      map: (record: unknown) => record,
      http: { timeoutMs: 1_000 },
    },
  ],
  ['a list that is compared', { changes: 'compare', paging: { kind: 'offset', in: 'query', parameter: 'at' } }],
  ['a token', { paging: { kind: 'token', parameter: 'after', next: 'a.b' } }],
  ['links', { paging: { kind: 'link' } }],
  ['addresses', { paging: { kind: 'url', next: 'next' } }],
  ['windows', { partitions: { ...window, form: 'date' } }],
  ['windows from a time with a zone', { partitions: { ...window, from: '2026-01-01T00:00:00.000+02:00' } }],
  ['parts', { path: '{id}', partitions: { parent: 'parents', fields: { id: 'id' } } }],
])('%s may be declared', (_name, rest) => {
  expect(() => open(rest)).not.toThrow()
})

test('the schema says what the type says', () => {
  type Code = 'wire' | 'map' | 'http'
  /** A type without what only the compiler heeds. */
  type Plain<T> = T extends readonly (infer Item)[]
    ? readonly Plain<Item>[]
    : T extends object
      ? { -readonly [Key in keyof T]-?: Plain<Exclude<T[Key], undefined>> }
      : T
  type Checked = z.output<ReturnType<typeof declaration>>
  expectTypeOf<keyof Checked>().toEqualTypeOf<keyof RestStream>()
  expectTypeOf<Plain<Omit<Checked, Code>>>().toEqualTypeOf<Plain<Omit<RestStream, Code>>>()
  /** Which of its fields may be left out. */
  type Optional<T> = T extends object
    ? { [Key in keyof T]-?: object extends Pick<T, Key> ? Key : never }[keyof T]
    : never
  expectTypeOf<Optional<Checked>>().toEqualTypeOf<Optional<RestStream>>()
  expectTypeOf<Optional<NonNullable<Checked['incremental']>>>().toEqualTypeOf<
    Optional<NonNullable<RestStream['incremental']>>
  >()
  expectTypeOf<Optional<NonNullable<Checked['paging']>>>().toEqualTypeOf<Optional<NonNullable<RestStream['paging']>>>()
  expectTypeOf<Optional<NonNullable<Checked['partitions']>>>().toEqualTypeOf<
    Optional<NonNullable<RestStream['partitions']>>
  >()
})
