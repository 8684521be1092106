// The other side of every measurement, in a process of its own: /ping of 100 bytes, and pages of 1,000 rows of 16 leaf columns (about 365 bytes).
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const statuses = ['FINISHED', 'RUNNING', 'FAILED', 'SCHEDULED', 'KILLED']
/** A row is a pure function of its number, so that any reader can check what arrived. */
const row = (seq: number): object => ({
  id: `run-${seq.toString(16).padStart(12, '0')}`,
  seq,
  updated_at_ms: 1_700_000_000_000 + seq,
  experiment_id: String(seq % 97),
  name: `gradient-boosting-${seq % 1000}`,
  status: statuses[seq % statuses.length],
  user: `user${seq % 53}@example.com`,
  duration_ms: (seq * 7919) % 3_600_000,
  accuracy: (seq % 10_000) / 10_000,
  loss: ((seq * 31) % 100_000) / 1000,
  epoch: seq % 200,
  best: seq % 10 === 0,
  note: seq % 4 === 0 ? null : `fold ${seq % 5}`,
  tags: { team: `team-${seq % 12}`, stage: seq % 3 === 0 ? 'prod' : 'dev', region: 'eu-central-1' },
})
/** One row in a hundred as partners really send them: a text for a number, a field that is missing, null where none may be, a value that nobody knows. */
const broken = (seq: number): object => {
  const good = row(seq) as Record<string, unknown>
  const { name: _name, ...nameless } = good
  const kinds = [{ ...good, seq: String(seq) }, nameless, { ...good, accuracy: null }, { ...good, status: 'LOST' }]
  return kinds[(seq / 100) % kinds.length] ?? nameless
}
const pageSize = 1000
/** Pages are made once and kept, so that the server costs as little as it can; beyond so many rows they are made anew each time. */
const kept = 1_000_000
const pages = new Map<string, Buffer>()
const data = (from: number, size: number, bad: boolean): Buffer => {
  const key = `${from} ${size} ${bad}`
  const known = pages.get(key)
  if (known !== undefined) return known
  const rows = Array.from({ length: size }, (_, index) =>
    bad && (from + index) % 100 === 0 ? broken(from + index) : row(from + index),
  )
  const made = Buffer.from(`{"data":${JSON.stringify(rows)},`)
  if (from < kept) pages.set(key, made)
  return made
}
const page = (from: number, total: number, bad: boolean): readonly Buffer[] => {
  const size = Math.min(pageSize, total - from)
  const next = from + size < total ? `"${from + size}"` : 'null'
  return [data(from, size, bad), Buffer.from(`"next_cursor":${next}}`)]
}

const total = Number(process.argv[2] ?? 1_000_000)
for (let from = 0; from < Math.min(total, kept); from += pageSize)
  for (const bad of [false, true]) page(from, total, bad)
const ping = Buffer.from(JSON.stringify({ id: 'ping-1', value: 42, text: 'x'.repeat(60) }))
const server = createServer((request, reply) => {
  const url = new URL(request.url ?? '/', 'http://local')
  const cursor = Number(url.searchParams.get('cursor') ?? 0)
  const body = url.pathname === '/ping' ? [ping] : page(cursor, total, url.pathname === '/bad')
  const length = body.reduce((sum, part) => sum + part.length, 0)
  reply.writeHead(200, { 'content-type': 'application/json', 'content-length': length })
  for (const part of body.slice(0, -1)) reply.write(part)
  reply.end(body.at(-1))
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
process.on('disconnect', () => process.exit())
