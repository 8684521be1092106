import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { expect, onTestFinished, test } from 'vitest'
import { startWorker } from './workers.ts'

const processes = 4
const calls = 80

/** Answers everything; `ready` when all processes have asked for it. Tells when each call came. */
const partner = async () => {
  const came: number[] = []
  const ready: ServerResponse[] = []
  const server = createServer((request, response) => {
    if (request.url === '/call') {
      came.push(performance.now())
      response.end('{}')
    } else if (ready.push(response) === processes) for (const each of ready) each.end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close().closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, came }
}

test('four processes with one store never send a real server more than rate and burst allow', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-pace-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const rate = { perSecond: 150, burst: 30 }
  const { url, came } = await partner()
  const stalls = monitorEventLoopDelay({ resolution: 1 })
  stalls.enable()
  const args = [path.join(folder, 'state.db'), url, JSON.stringify({ rate }), String(calls)]
  const workers = await Promise.all(Array.from({ length: processes }, () => startWorker('guard-worker.ts', args)))
  const ended = await Promise.all(workers.map((worker) => worker.ended))
  stalls.disable()
  expect(ended.map(({ code, said }) => ({ code, said }))).toEqual(workers.map(() => ({ code: 0, said: '' })))
  expect(came).toHaveLength(processes * calls)
  // While this process stood still, what came in the meantime seems to come at once.
  const stallMs = stalls.max / 1e6
  const most = came.map((last, at) =>
    Math.max(
      ...came.slice(0, at + 1).map((first, from) => at - from + 1 - ((last - first + stallMs) / 1000) * rate.perSecond),
    ),
  )
  expect(Math.max(...most)).toBeLessThanOrEqual(rate.burst)
}, 60_000)
