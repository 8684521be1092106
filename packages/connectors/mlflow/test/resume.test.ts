import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startMlflow, type Mlflow } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import type { Checkpoint } from '../src/index.ts'
import { openTracking, readAll, type Tracking } from './support.ts'

const peer = await requirePeer('mlflow')

peer.describe('a read that was killed inside a long history', () => {
  let folder: string
  let server: Mlflow
  let tracking: Tracking
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'ecokit-resume-'))
    server = await startMlflow({ folder })
    tracking = openTracking(server.url)
  }, 240_000)
  afterAll(async () => {
    await tracking.connection.close()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })

  test('loses nothing of a run that went on and ended before the resume', { timeout: 120_000 }, async () => {
    const { api, connection } = tracking
    const points = (key: string, count: number, from = 0) =>
      Array.from({ length: count }, (_, step) => ({
        key,
        value: step,
        step: from + step,
        timestamp: '2026-09-21T13:33:20.000Z',
      }))
    const { id } = await connection.runs.create({ experimentId: '0' })
    await connection.runs.logBatch({ id, metrics: [...points('a', 3), ...points('z', 10_050)] })

    let cut: Checkpoint | undefined
    for await (const { checkpoint } of connection.read('metrics')) {
      if (checkpoint?.['history'] === undefined) continue
      cut = JSON.parse(JSON.stringify(checkpoint)) as Checkpoint
      break
    }
    expect(cut?.['history']).toMatchObject({ run: id, key: 'z' })

    await connection.runs.logBatch({ id, metrics: points('a', 50, 3) })
    await api.runs.update(id, { status: 'FINISHED', endedAt: 1_790_000_001_000 })
    const resumed = await readAll(tracking, 'metrics', { checkpoint: cut })
    const later = await readAll(tracking, 'metrics', { checkpoint: resumed.checkpoint })
    const steps = [...resumed.rows, ...later.rows].filter(({ key }) => key === 'a').map(({ step }) => Number(step))
    expect(new Set(steps).size).toBe(53)
  })
})
