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
const pageSize = 1000
const pages = new Map<number, Buffer>()
/** Made once for each place and kept, so that the server costs as little as it can. */
const page = (from: number, total: number): Buffer => {
  const known = pages.get(from)
  if (known !== undefined) return known
  const rows = Array.from({ length: Math.min(pageSize, total - from) }, (_, index) => row(from + index))
  const next = from + pageSize < total ? String(from + pageSize) : null
  const made = Buffer.from(JSON.stringify({ data: rows, next_cursor: next }))
  pages.set(from, made)
  return made
}

const total = Number(process.argv[2] ?? 1_000_000)
for (let from = 0; from < total; from += pageSize) page(from, total)
const ping = Buffer.from(JSON.stringify({ id: 'ping-1', value: 42, text: 'x'.repeat(60) }))
const server = createServer((request, reply) => {
  const url = new URL(request.url ?? '/', 'http://local')
  const body = url.pathname === '/ping' ? ping : page(Number(url.searchParams.get('cursor') ?? 0), total)
  reply.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
  reply.end(body)
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
process.on('disconnect', () => process.exit())
