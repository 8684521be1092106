import { expect, test } from 'vitest'
import { z } from 'zod'
import type { AnyRecord, RestStream } from '@ecokit/contracts'
import { failure } from './support.ts'
import { declared, openStreams, readAll, serve, slice } from './rest-support.ts'

const User = z.object({ login: z.string(), kind: z.string() })
const Post = z.object({ id: z.string(), at: z.iso.datetime() })
const time = (minute: number) => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString()

/** A partner with users and their posts, three a page. */
const blog = async (users: { login: string; kind: string }[], posts: Map<string, { id: string; at: string }[]>) => {
  let running = 0
  let most = 0
  const { url, asked } = await serve(async ({ path, query }) => {
    const from = Number(query['after'] ?? 0)
    if (path === '/users') return { body: slice(users, from, 3) }
    most = Math.max(most, (running += 1))
    await new Promise((resolve) => setImmediate(resolve))
    running -= 1
    const own = posts.get(decodeURIComponent(path.split('/')[2] ?? '')) ?? []
    return {
      body: slice(
        own.filter(({ at }) => at >= (query['since'] ?? '')),
        from,
        3,
      ),
    }
  })
  return { url, asked, most: () => most }
}
const paging = { kind: 'token', parameter: 'after', next: 'next' } as const
const streams = (more: Partial<RestStream> = {}) => ({
  users: declared({ schema: User, primaryKey: ['login'], rest: { path: 'users', records: 'items', paging } }),
  posts: declared({
    schema: Post,
    primaryKey: ['id'],
    cursor: 'at',
    rest: {
      path: 'users/{user}/posts',
      records: 'items',
      paging,
      incremental: { since: { parameter: 'since' } },
      partitions: { parent: 'users', fields: { user: 'login' } },
      ...more,
    },
  }),
})
const make = (users: number, each: (user: number) => number) => {
  const list = Array.from({ length: users }, (_, index) => ({ login: `u/${index} ä`, kind: 'a' }))
  const posts = new Map(
    list.map(({ login }, user) => [
      login,
      Array.from({ length: each(user) }, (_, index) => ({ id: `${user}.${index}`, at: time(index * 7 + user) })),
    ]),
  )
  return { list, posts }
}
const ids = (rows: readonly AnyRecord[]) => rows.map(({ id }) => id)
/** Parts come as they can; the rows of one in their order. */
const byPart = (found: readonly unknown[]): ReadonlyMap<string, readonly unknown[]> => {
  const parts = new Map<string, unknown[]>()
  for (const id of found) {
    const part = String(id).split('.')[0]!
    parts.set(part, [...(parts.get(part) ?? []), id])
  }
  return parts
}

test('each record of the parent is a part; parts are read side by side, each handed on in its order, and gone on with', async () => {
  const { list, posts } = make(20, (user) => (user * 5) % 8)
  const { url, asked, most } = await blog(list, posts)
  const connection = openStreams(url, streams())
  const all = [...posts.values()].flat().map(({ id }) => id)
  const read = await readAll(connection, 'posts')
  expect(byPart(ids(read.rows))).toEqual(byPart(all))
  expect(most()).toBeGreaterThan(1)
  expect(most()).toBeLessThanOrEqual(16)
  const newest = [...posts.values()]
    .flat()
    .map(({ at }) => at)
    .sort()
    .at(-1)
  expect(read.checkpoint).toMatchObject({ rest: 1, cursor: newest })
  for (const [index, { checkpoint }] of read.batches.entries()) {
    if (index % 5 !== 0 || checkpoint?.['pass'] === undefined) continue
    const before = read.batches.slice(0, index + 1).flatMap(({ rows }) => rows)
    asked.length = 0
    const rest = await readAll(connection, 'posts', { checkpoint })
    expect(byPart(ids([...before, ...rest.rows]))).toEqual(byPart(all))
    expect(rest.checkpoint).toEqual(read.checkpoint)
    // Finished parts are not asked for again.
    expect(asked.filter(({ path }) => path !== '/users').length).toBeLessThanOrEqual(read.batches.length - index)
  }
  asked.length = 0
  expect(ids((await readAll(connection, 'posts', { partition: 'u/3 ä' })).rows)).toEqual(ids(posts.get('u/3 ä')!))
  expect(
    asked.filter(({ path }) => path !== '/users').every(({ path }) => path === '/users/u%2F3%20%C3%A4/posts'),
  ).toBe(true)
  expect(await failure(() => connection.read?.('posts', { partition: 'nobody' }))).toMatchObject({
    code: 'invalid_input',
  })
  expect(await failure(() => connection.read?.('users', { partition: 'x' }))).toMatchObject({ code: 'invalid_input' })
})

test('an incremental pass asks known parts for what is new, and a part that is new for all that it has', async () => {
  const { list, posts } = make(5, () => 4)
  const { url, asked } = await blog(list, posts)
  const connection = openStreams(url, streams())
  const { checkpoint } = await readAll(connection, 'posts')
  list.unshift({ login: 'late', kind: 'b' })
  posts.set('late', [{ id: 'old', at: time(0) }])
  posts.get('u/2 ä')!.push({ id: 'new', at: time(99) })
  asked.length = 0
  const next = await readAll(connection, 'posts', { checkpoint })
  // The newest one of the last pass comes again: a bound is inclusive.
  expect(ids(next.rows).toSorted()).toEqual(['4.3', 'new', 'old'])
  expect(
    asked
      .filter(({ query }) => query['since'] === undefined)
      .map(({ path }) => path)
      .toSorted(),
  ).toEqual(['/users', '/users', '/users/late/posts'])
  // A parent that is gone in the middle of a pass takes its part along and nothing else.
  const { batches } = await readAll(connection, 'posts')
  const cut = batches[4]!
  const had = new Set(ids(batches.slice(0, 5).flatMap(({ rows }) => rows)))
  const gone = list.findIndex(({ login }) => login === 'u/1 ä')
  list.splice(gone, 1)
  posts.delete('u/1 ä')
  const rest = await readAll(connection, 'posts', { checkpoint: cut.checkpoint })
  expect(new Set(ids(rest.rows))).toEqual(
    new Set(
      [...posts.values()]
        .flat()
        .map(({ id }) => id)
        .filter((id) => !had.has(id)),
    ),
  )
})

test('a parent that cannot name its part is put aside; without a place for it the read ends', async () => {
  const { url } = await serve(({ path }) => ({
    body: {
      items:
        path === '/users'
          ? [{ login: 'a', kind: 'x' }, { login: '', kind: 'x' }, { login: 7 }]
          : [{ id: path, at: time(1) }],
    },
  }))
  const connection = openStreams(url, streams({ incremental: { since: { parameter: 'since' } } }))
  const read = await readAll(connection, 'posts')
  expect(ids(read.rows)).toEqual(['/users/a/posts'])
  expect(read.refused.map(({ field, reason }) => [field, reason.split(':')[0]])).toEqual([
    ['login', 'a record of the parent users'],
    ['login', 'a record of the parent users'],
  ])
  expect((await failure(() => connection.read?.('posts'))).code).toBe('invalid_data')
})

test('a parent whose value no address can hold is put aside, and the other parts are read', async () => {
  const { url, asked } = await serve(({ path }) =>
    path === '/users' ? { body: [{ login: '..' }, { login: { a: 1 } }, { login: 'b' }] } : { body: [{ id: path }] },
  )
  const users = declared({ schema: z.object({ login: z.unknown() }), rest: { path: 'users' } })
  const partitions = { parent: 'users', fields: { user: 'login' } }
  const posts = declared({ schema: z.object({ id: z.string() }), rest: { path: 'users/{user}/posts', partitions } })
  const { rows, refused } = await readAll(openStreams(url, { users, posts }), 'posts')
  expect(rows).toEqual([{ id: '/users/b/posts' }])
  expect(asked).toHaveLength(2)
  expect(refused).toMatchObject([
    { field: 'login', reason: expect.stringContaining('a record of the parent users: no value') as string },
    { field: 'login' },
  ])
})

test('what is declared wrongly is told when connecting', () => {
  const wrong = (rest: Partial<RestStream>) => () => openStreams('http://127.0.0.1:1', streams(rest))
  expect(wrong({ partitions: { parent: 'nobody', fields: {} } })).toThrow('its parent nobody is no stream')
  expect(wrong({ partitions: { parent: 'users', fields: { user: 'name' } } })).toThrow(
    'its parent users has no field name',
  )
  expect(wrong({ partitions: { parent: 'posts', fields: { user: 'id' } } })).toThrow('go round in a circle')
  expect(wrong({ changes: 'compare' })).toThrow('compare reads the whole list')
  expect(wrong({ map: (record: unknown) => record })).toThrow('wire and map belong together')
  expect(wrong({ paging: { kind: 'tokens', next: 'next' } as never })).toThrow(
    'there is no paging of the kind tokens; choose one of: token',
  )
  const window = { windowMs: 0, from: time(0), since: { parameter: 'a' }, until: { parameter: 'b' } }
  expect(wrong({ path: 'posts', partitions: window })).toThrow('windowMs')
  expect(wrong({ path: 'posts', partitions: { ...window, windowMs: 1000, form: 'date' } })).toThrow('whole days')
})

const hour = 3_600_000
const windows = (form?: 'epoch_s' | 'iso') => ({
  posts: declared({
    schema: Post,
    primaryKey: ['id'],
    cursor: 'at',
    rest: {
      path: 'posts',
      records: 'items',
      paging,
      partitions: {
        windowMs: hour,
        from: '2026-01-01T00:00:00Z',
        since: { parameter: 'start' },
        until: { parameter: 'end' },
        ...(form && { form }),
      },
    },
  }),
})

test('windows of time are parts: a pass goes on where it was, the next one begins at the cursor, whatever the clock says', async () => {
  const all = Array.from({ length: 40 }, (_, index) => ({ id: `p${index}`, at: time(index * 13) }))
  const { url, asked } = await serve(({ query }) => ({
    body: slice(
      all.filter(({ at }) => at >= query['start']! && at < query['end']!),
      Number(query['after'] ?? 0),
      2,
    ),
  }))
  let now = Date.UTC(2026, 0, 1, 6, 30)
  const clock = { now: () => now, sleep: () => Promise.resolve() }
  const connection = openStreams(url, windows(), { runtime: { clock } })
  const until = (limit: string) => all.filter(({ at }) => at < limit).map(({ id }) => id)
  const read = await readAll(connection, 'posts')
  expect(ids(read.rows).toSorted()).toEqual(until('2026-01-01T07:00').toSorted())
  expect(new Set(asked.map(({ query }) => query['start'])).size).toBe(7)
  for (const [index, { checkpoint }] of read.batches.entries()) {
    // The clock jumps while nobody reads: the pass ends where it was to end.
    now = index % 2 === 0 ? Date.UTC(2001, 0, 1) : Date.UTC(2026, 0, 3)
    if (checkpoint?.['pass'] === undefined) continue
    const before = read.batches.slice(0, index + 1).flatMap(({ rows }) => rows)
    const rest = await readAll(connection, 'posts', { checkpoint })
    expect(ids([...before, ...rest.rows]).toSorted()).toEqual(ids(read.rows).toSorted())
    expect(rest.checkpoint).toEqual(read.checkpoint)
  }
  for (const clockSays of [Date.UTC(1999, 0, 1), Date.UTC(2026, 0, 1, 8)]) {
    now = clockSays
    asked.length = 0
    const next = await readAll(connection, 'posts', { checkpoint: read.checkpoint })
    // What is dated behind the beginning of the pass is not where the next one begins.
    expect(asked[0]?.query).toMatchObject({ start: '2026-01-01T06:29:59.000Z', end: '2026-01-01T07:00:00.000Z' })
    expect(ids(next.rows)[0]).toBe('p30')
  }
  const part = await readAll(connection, 'posts', { partition: '2026-01-01T02:00:00.000Z' })
  expect(ids(part.rows)).toEqual(all.filter(({ at }) => at >= time(120) && at < time(180)).map(({ id }) => id))
  now = Date.UTC(2026, 0, 2)
  asked.length = 0
  const asOf = await readAll(connection, 'posts', { since: time(125), until: time(185) })
  expect(ids(asOf.rows).toSorted()).toEqual(
    all.filter(({ at }) => at >= time(125) && at < time(185)).map(({ id }) => id),
  )
  expect(new Set(asked.map(({ query }) => query['end']))).toEqual(new Set([180, 240].map(time)))
})

test('a part that fails ends the read with its error, and a caller who leaves ends the others', async () => {
  const { list, posts } = make(12, () => 2)
  const { url } = await serve(({ path, query }) => {
    if (path === '/users') return { body: slice(list, Number(query['after'] ?? 0), 3) }
    return path.includes('u%2F4')
      ? { status: 403, body: {} }
      : { body: { items: posts.get(decodeURIComponent(path.split('/')[2]!)) } }
  })
  const connection = openStreams(url, streams())
  const seen: unknown[] = []
  const error = await failure(async () => {
    for await (const batch of connection.read?.('posts') ?? [])
      seen.push(batch.encoding === 'records' ? 0 : batch.count)
  })
  expect(error.code).toBe('forbidden')
  // Those that came before it.
  expect(seen.every((count) => count === 2)).toBe(true)
  for await (const _batch of connection.read?.('posts') ?? []) break
})

test('parts that were left half read go on where they were, whatever order their parent has by then: two kills double nothing', async () => {
  const { list, posts } = make(4, () => 8)
  const all = [...posts.values()].flat().map(({ id }) => id)
  const { url } = await blog(list, posts)
  const connection = openStreams(url, streams())
  const { batches } = await readAll(connection, 'posts')
  // The last batch completes the pass.
  for (const first of batches.slice(0, -1).keys()) {
    const cut = batches[first]?.checkpoint
    const kept = ids(batches.slice(0, first + 1).flatMap(({ rows }) => rows))
    list.reverse()
    const on = await readAll(connection, 'posts', { checkpoint: cut })
    expect([...kept, ...ids(on.rows)].toSorted()).toEqual(all)
    for (const [second, { checkpoint }] of on.batches.slice(0, -1).entries()) {
      const more = ids(on.batches.slice(0, second + 1).flatMap(({ rows }) => rows))
      list.reverse()
      const rest = ids((await readAll(connection, 'posts', { checkpoint })).rows)
      list.reverse()
      expect([...kept, ...more, ...rest].toSorted()).toEqual(all)
    }
    list.reverse()
  }
  // A parent that is gone takes its part along, and the others are read.
  const cut = batches[1]?.checkpoint
  const had = new Set(ids(batches.slice(0, 2).flatMap(({ rows }) => rows)))
  list.shift()
  const rest = await readAll(connection, 'posts', { checkpoint: cut })
  expect(ids(rest.rows).toSorted()).toEqual(all.filter((id) => !id.startsWith('0.') && !had.has(id)))
})

test('eight parts are read at once to their end, and each waits for its own pages alone', async () => {
  const { list, posts } = make(16, () => 30)
  let waiting: (() => void)[] = []
  let [asked, late] = [0, 0]
  const answer = () => {
    const all = waiting
    waiting = []
    for (const go of all) go()
  }
  const { url } = await serve(async ({ path, query }) => {
    if (path === '/users') return { body: slice(list, 0, 99) }
    asked += 1
    // Nobody is answered before all eight have asked.
    await new Promise<void>((resolve) => {
      waiting.push(resolve)
      if (waiting.length === 8) answer()
      const timer = setTimeout(() => {
        if (!waiting.includes(resolve)) return
        late += 1
        answer()
      }, 5000)
      timer.unref()
    })
    return { body: slice(posts.get(decodeURIComponent(path.split('/')[2] ?? ''))!, Number(query['after'] ?? 0), 3) }
  })
  const connection = openStreams(url, streams())
  const read = await readAll(connection, 'posts')
  expect(read.rows).toHaveLength(16 * 30)
  expect({ asked, late }).toEqual({ asked: 160, late: 0 })
})

test('with mayLack a part that is not there has no records, and has all of them once it is there', async () => {
  const { list, posts } = make(5, () => 2)
  const statuses = new Map([['u/1 ä', 404]])
  const { url } = await serve(({ path, query }) => {
    const from = Number(query['after'] ?? 0)
    if (path === '/users') return { body: slice(list, from, 3) }
    const login = decodeURIComponent(path.split('/')[2] ?? '')
    const status = statuses.get(login)
    if (status !== undefined) return { status, body: {} }
    return {
      body: slice(
        (posts.get(login) ?? []).filter(({ at }) => at >= (query['since'] ?? '')),
        from,
        3,
      ),
    }
  })
  const partitions = { parent: 'users', fields: { user: 'login' } }
  const strict = openStreams(url, streams())
  const lenient = openStreams(url, streams({ partitions: { ...partitions, mayLack: true } }))
  const read = (from: typeof strict, options = {}) => readAll(from, 'posts', options)
  await expect(read(strict)).rejects.toMatchObject({ code: 'not_found' })
  const first = await read(lenient)
  const idsOf = (users: readonly number[]) => users.flatMap((user) => [`${user}.0`, `${user}.1`])
  expect(ids(first.rows).toSorted()).toEqual(idsOf([0, 2, 3, 4]))
  statuses.set('u/0 ä', 410)
  statuses.delete('u/1 ä')
  const { checkpoint } = first
  // Those that were known give what is at the cursor again; the one that was not is read from its beginning.
  expect(ids((await read(lenient, { checkpoint })).rows).toSorted()).toEqual(['1.0', '1.1', '4.1'])
  statuses.set('u/0 ä', 403)
  await expect(read(lenient, { checkpoint })).rejects.toMatchObject({ code: 'forbidden' })
  for (const { login } of list) statuses.set(login, 404)
  await expect(read(lenient)).rejects.toMatchObject({ code: 'not_found' })
  await expect(read(lenient, { partition: 'u/2 ä' })).rejects.toMatchObject({ code: 'not_found' })
})
