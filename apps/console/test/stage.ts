import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { consoleDirectory } from '@ecokit/console'
import { local } from '@ecokit/connector-local'
import { defineConnector, double, integrationError, stream } from '@ecokit/contracts'
import { openEcosystem, openServer } from '@ecokit/server'
import { checkState } from '../../../packages/core/flow/test/openlineage.ts'
import { z } from 'zod'

/** What the tracker of the stage does next. */
export interface Mood {
  ill: boolean
  /** Holds every page back until it is told to go on. */
  hold: Promise<void> | undefined
}

const Run = z.object({
  run_id: z.string(),
  run_name: z.string(),
  experiment_id: z.string(),
  status: z.string(),
  lifecycle_stage: z.string(),
  start_time: z.iso.datetime(),
  params: z.record(z.string(), z.string()),
  metrics: z.record(z.string(), double()),
})
const run = (index: number) => ({
  run_id: `r${index}`,
  run_name: `${['bold-elk', 'calm-fox', 'wise-owl', 'keen-bee', 'swift-ray'][index % 5] ?? ''}-${index}`,
  experiment_id: String(index % 2),
  status: index === 7 ? 'RUNNING' : 'FINISHED',
  lifecycle_stage: 'active',
  start_time: new Date(1_790_000_000_000 + index * 3_600_000).toISOString(),
  params: { depth: String(2 + (index % 5)), model: index % 2 === 0 ? 'forest' : 'boosting' },
  metrics: {
    accuracy: 0.8 + ((index * 37) % 100) / 520,
    ...(index % 3 === 0 ? { log_loss: 0.2 + ((index * 13) % 50) / 100 } : {}),
  },
})

/** A platform that looks like a tracking server, does what it is told, and always has one record that breaks its schema. */
const tracker = (mood: Mood) =>
  defineConnector(
    {
      id: 'tracker',
      title: 'Tracking server',
      config: z.strictObject({}),
      hosts: [],
      streams: {
        experiments: stream({
          schema: z.object({ experiment_id: z.string(), name: z.string() }),
          primaryKey: ['experiment_id'],
        }),
        runs: stream({ schema: Run, primaryKey: ['run_id'], cursor: 'start_time' }),
      },
    },
    ({ name }) => ({
      check: async () => {
        if (mood.ill)
          throw integrationError('unavailable', {
            partner: name,
            what: 'GET /health was refused (ECONNREFUSED)',
            next: 'Is the server running?',
            details: {},
          })
        return Promise.resolve({ version: '3.2' })
      },
      read: {
        async *experiments() {
          await mood.hold
          yield {
            encoding: 'records',
            records: [
              { experiment_id: '0', name: 'churn' },
              { experiment_id: '1', name: 'fraud' },
            ],
          }
        },
        async *runs() {
          for (let page = 0; page < 3; page++) {
            await mood.hold
            const broken = { ...run(99), run_id: 7 } as unknown as ReturnType<typeof run>
            const records = Array.from({ length: 10 }, (_, index) => run(page * 10 + index))
            yield { encoding: 'records', records: page === 1 ? [...records, broken] : records, checkpoint: { page } }
          }
        },
      },
    }),
  )

const file = `version: 1
partners:
  tracker: { connector: tracker, config: {}, owner: ml-platform@example.com, tier: enterprise, check: { every: 1s, timeout: 900ms } }
  lake: { connector: local, config: { database: lake.duckdb }, check: { every: 2s } }
pipelines:
  tracker-to-lake: { source: tracker, sink: lake }
`

/** The real server over a real lake, with one partner whose mood the test sets. */
export const openStage = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ecokit-console-'))
  const mood: Mood = { ill: false, hold: undefined }
  writeFileSync(join(folder, 'ecosystem.yaml'), file.replace('lake.duckdb', join(folder, 'lake.duckdb')))
  const runtime = await openEcosystem({ file: join(folder, 'ecosystem.yaml'), connectors: [tracker(mood), local] })
  const token = 'token-of-the-stage-0123456789abcdef'
  const server = await openServer({ runtime, port: 0, token, consoleDirectory })
  return {
    mood,
    runtime,
    url: server.url,
    link: `${server.url}/?token=${token}`,
    close: async () => {
      await server.close()
      await runtime.close()
      checkState(folder)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
