import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { describeHolder, holderOf, isGone, liveRuns, newRunId, ownUuidV7, streamRunId } from '../src/ids.ts'

test.each([
  ['as Node makes them', newRunId],
  ['as we make them', ownUuidV7],
])('run ids are UUIDs of version 7, all different, %s', (_name, make) => {
  const before = Date.now()
  const ids = Array.from({ length: 1_000 }, make)
  for (const id of ids) expect(z.uuidv7().safeParse(id).success).toBe(true)
  expect(new Set(ids).size).toBe(ids.length)
  const times = ids.map((id) => Number.parseInt(id.replace('-', '').slice(0, 12), 16))
  expect(Math.min(...times)).toBeGreaterThanOrEqual(before)
  expect(Math.max(...times)).toBeLessThanOrEqual(Date.now())
})

test('a stream has the same run id each time it is asked for', () => {
  const run = newRunId()
  expect(streamRunId(run, 'items')).toBe(streamRunId(run, 'items'))
  expect(streamRunId(run, 'items')).not.toBe(streamRunId(run, 'plain'))
  expect(z.uuid().safeParse(streamRunId(run, 'items')).success).toBe(true)
})

test('a holder is gone when its process is, and only then', async () => {
  const mine = holderOf('a')
  expect(isGone(mine)).toBe(true)
  liveRuns.add('a')
  expect(isGone(mine)).toBe(false)
  liveRuns.delete('a')
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)'])
  const other = mine.replace(`/${process.pid}/`, `/${String(child.pid)}/`)
  expect(isGone(other)).toBe(false)
  expect(describeHolder(other)).toContain(`process ${String(child.pid)} on host `)
  child.kill('SIGKILL')
  await once(child, 'close')
  expect(isGone(other)).toBe(true)
  expect(isGone(other.replace(/^[^/]*/, 'another-host'))).toBe(false)
  expect(isGone(other.replace(/\/[^/]*/, '/another-space'))).toBe(false)
  expect(isGone('nonsense')).toBe(false)
})
