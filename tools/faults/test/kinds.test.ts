import { once } from 'node:events'
import { connect as connectSocket, type Socket } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { afterAll, expect, test } from 'vitest'
import { httpKinds, startFaults, type HttpKind, type Incoming, type Outgoing } from '../index.ts'

const rows = [
  { id: 'a', count: 1 },
  { id: 'b', count: 2 },
]
const reply = (value: object): Outgoing => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: Buffer.from(JSON.stringify(value)),
})
const upstream = ({ url }: Incoming): Outgoing =>
  reply(
    url.includes('page_token=2') ? { runs: [{ id: 'c', count: 3 }] } : { runs: rows, next_page_token: '2', total: 3 },
  )
const now = Date.UTC(2026, 10, 22, 1, 0, 0, 250)
const faults = await startFaults({ upstream, now: () => now })
afterAll(() => faults.stop())

interface Bare {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** As it came, without the chunks' own lengths. */
  readonly body: Buffer
  /** How the connection ended; undefined while it is open. */
  readonly end: 'fin' | 'reset' | undefined
  readonly chunks: number
  readonly socket: Socket
}
const value = (bare: Bare): Record<string, unknown> => JSON.parse(bare.body.toString()) as Record<string, unknown>

/** Sends a request over a bare socket and takes what comes until the body is complete, the connection ends, or the server lets it hang. */
const ask = async (path = '/runs', headers: Readonly<Record<string, string>> = {}): Promise<Bare> => {
  const socket = connectSocket(Number(new URL(faults.url).port), '127.0.0.1')
  const pieces: Buffer[] = []
  let end: Bare['end']
  socket.on('data', (piece: Buffer) => pieces.push(piece))
  socket.on('error', () => (end = 'reset'))
  socket.on('end', () => (end ??= 'fin'))
  const text = Object.entries(headers).map(([name, header]) => `${name}: ${header}\r\n`)
  socket.write(`GET ${path} HTTP/1.1\r\nhost: here\r\n${text.join('')}\r\n`)
  const read = () => {
    const all = Buffer.concat(pieces)
    const at = all.indexOf('\r\n\r\n')
    const head = at < 0 ? '' : all.subarray(0, at).toString()
    const named = Object.fromEntries(
      head
        .split('\r\n')
        .slice(1)
        .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    )
    return { status: Number(head.slice(9, 12)), headers: named, body: at < 0 ? Buffer.alloc(0) : all.subarray(at + 4) }
  }
  const complete = () => {
    const { headers: got, body } = read()
    return got['content-length'] !== undefined && body.length >= Number(got['content-length'])
  }
  while (end === undefined && !complete() && !hangs()) await tick()
  // What ends with the connection is known once it has ended.
  const ending = new Set<HttpKind>(['wrongLen', 'truncate', 'resetMid', 'slowClose', 'reset'])
  const kind = faults.seen.at(-1)?.fault
  if (end === undefined && kind !== undefined && ending.has(kind))
    await once(socket, 'close').catch(() => (end = 'reset'))
  socket.destroy()
  return { ...read(), end, chunks: pieces.length, socket }
}
const hangs = () => faults.seen.at(-1)?.fault === 'hang'
const tick = () => new Promise((resolve) => setImmediate(resolve))

const all = (kind: HttpKind, seed = 1) => faults.set({ kind, seed, schedule: 'all' })
const seeds = [1, 2, 3, 4, 5, 6, 7, 8]

const served: Readonly<Record<HttpKind, () => Promise<void>>> = {
  latency: async () => {
    all('latency')
    const before = performance.now()
    expect(value(await ask())).toMatchObject({ runs: rows })
    expect(performance.now() - before).toBeGreaterThan(9)
  },
  reset: async () => {
    all('reset')
    const got = await ask()
    expect([got.end, got.body.length, faults.seen[0]!.forwarded]).toEqual(['reset', 0, false])
  },
  resetMid: async () => {
    all('resetMid')
    const got = await ask()
    expect([got.end, got.status, faults.seen[0]!.forwarded]).toEqual(['reset', 200, true])
    expect(got.body.length).toBeLessThan(Number(got.headers['content-length']))
  },
  hang: async () => {
    all('hang')
    const got = await ask()
    expect([got.end, got.status, got.chunks, faults.seen[0]!.fault]).toEqual([undefined, 0, 0, 'hang'])
  },
  slow: async () => {
    all('slow')
    const got = await ask()
    expect(value(got)).toMatchObject({ runs: rows })
    expect(got.chunks).toBeGreaterThan(3)
  },
  slowClose: async () => {
    all('slowClose')
    const got = await ask()
    expect(got.headers).toMatchObject({ connection: 'close' })
    expect(got.headers['content-length'] ?? got.headers['transfer-encoding']).toBeUndefined()
    expect([got.end, value(got)]).toMatchObject(['fin', { runs: rows }])
  },
  truncate: async () => {
    all('truncate')
    const got = await ask()
    expect(got.end).toBe('fin')
    expect(got.body.length).toBe(Math.floor(Number(got.headers['content-length']) / 2))
  },
  r429: async () => {
    all('r429')
    const got = await ask()
    expect(got.status).toBe(429)
    expect(got.headers['retry-after']).toMatch(/^\d+$/)
    expect(faults.seen[0]).toMatchObject({
      notBefore: now + Number(got.headers['retry-after']) * 1000,
      forwarded: false,
    })
  },
  r429date: async () => {
    all('r429date')
    const got = await ask()
    expect(got.status).toBe(429)
    expect(Date.parse(got.headers['retry-after']!)).toBe(faults.seen[0]!.notBefore)
    expect(faults.seen[0]!.notBefore).toBeGreaterThan(now)
  },
  r5xx: async () => {
    const statuses = new Set<number>()
    for (const seed of [...seeds, 9, 10, 11, 12]) {
      all('r5xx', seed)
      statuses.add((await ask()).status)
    }
    expect([...statuses].sort()).toEqual([500, 502, 503, 504])
  },
  r200html: async () => {
    all('r200html')
    const got = await ask()
    expect([got.status, got.headers['content-type']]).toEqual([200, 'text/html'])
    expect(got.body.toString()).toContain('Sign in')
  },
  expired: async () => {
    faults.set({ kind: 'expired', seed: 1, schedule: 'second' })
    const as = async (token: string) => (await ask('/runs', { authorization: `Bearer ${token}` })).status
    expect([
      await as('one'),
      await as('one'),
      await as('one'),
      await as('two'),
      await as('one'),
      await as('two'),
    ]).toEqual([200, 401, 401, 200, 401, 200])
    faults.set({ kind: 'expired', seed: 1, schedule: 'first' })
    expect([(await ask()).status, (await ask()).status]).toEqual([401, 200])
  },
  badGzip: async () => {
    for (const seed of seeds) {
      all('badGzip', seed)
      const got = await ask()
      expect(got.headers['content-encoding']).toBe('gzip')
      expect(() => gunzipSync(got.body)).toThrow()
    }
  },
  wrongLen: async () => {
    const differences = new Set<number>()
    for (const seed of seeds) {
      all('wrongLen', seed)
      const got = await ask()
      const sent = JSON.stringify({ runs: rows, next_page_token: '2', total: 3 })
      expect(got.body.toString()).toBe(sent)
      differences.add(Number(got.headers['content-length']) - sent.length)
    }
    expect([...differences].sort()).toEqual([-3, 7])
  },
  dupPage: async () => {
    faults.set({ kind: 'dupPage', seed: 1, schedule: 'all' })
    const read: unknown[] = []
    let token: string | undefined
    do {
      const page = value(await ask(`/runs?page_token=${token ?? ''}`))
      read.push(...(page['runs'] as { id: string }[]).map(({ id }) => id))
      token = page['next_page_token'] as string | undefined
    } while (token !== undefined)
    expect(read).toEqual(['a', 'b', 'a', 'b', 'c', 'c'])
  },
  loopCursor: async () => {
    const periods = new Set<number>()
    for (const seed of seeds) {
      all('loopCursor', seed)
      const tokens: string[] = []
      for (let pages = 0; pages < 6; pages++) {
        const page = value(await ask(`/runs?page_token=${tokens.at(-1) ?? ''}`))
        expect(page['runs']).toEqual(rows)
        tokens.push(page['next_page_token'] as string)
      }
      periods.add(new Set(tokens).size)
    }
    expect([...periods].sort()).toEqual([1, 2])
  },
  nullRow: async () => {
    all('nullRow')
    expect((value(await ask())['runs'] as unknown[]).filter((row) => row === null)).toHaveLength(1)
  },
  typeFlip: async () => {
    const before = JSON.stringify({ runs: rows, next_page_token: '2', total: 3 })
    for (const seed of seeds) {
      all('typeFlip', seed)
      const after = value(await ask())
      expect(JSON.stringify(after)).not.toBe(before)
    }
  },
  newField: async () => {
    all('newField')
    const after = value(await ask())
    expect(after['runs']).toMatchObject(rows)
    for (const row of after['runs'] as object[]) expect(row).toHaveProperty('a field of tomorrow')
  },
  redirect: async () => {
    const places = new Set<string>()
    for (const seed of seeds) {
      all('redirect', seed)
      const got = await ask()
      expect([302, 307, 308]).toContain(got.status)
      places.add(got.headers['location']!.replace(/\d{4,}/, 'port'))
    }
    expect([...places].sort()).toEqual(['/runs', 'http://127.0.0.1:port/stolen'])
    expect(faults.lured()).toBe(0)
  },
}

for (const [kind, about] of Object.entries(httpKinds) as [HttpKind, string][]) test(`${kind}: ${about}`, served[kind])

test('without a plan, and beside its schedule, everything is served as the partner answers', async () => {
  faults.set()
  expect(value(await ask())).toMatchObject({ runs: rows })
  faults.set({ kind: 'r5xx', seed: 3, schedule: 'second' })
  expect([(await ask()).status, (await ask()).status >= 500, (await ask()).status]).toEqual([200, true, 200])
})
test('the same seed makes the same faults', async () => {
  const run = async () => {
    faults.set({ kind: 'r5xx', seed: 77, schedule: 'half' })
    const statuses: number[] = []
    for (let index = 0; index < 12; index++) statuses.push((await ask()).status)
    return statuses
  }
  const first = await run()
  expect(await run()).toEqual(first)
  expect(new Set(first).size).toBeGreaterThan(1)
})
test('the sockets that clients hold are counted', async () => {
  faults.set()
  const socket = connectSocket(Number(new URL(faults.url).port), '127.0.0.1')
  await once(socket, 'connect')
  while (faults.sockets() === 0) await tick()
  socket.destroy()
  while (faults.sockets() > 0) await tick()
})
