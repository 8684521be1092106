import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConnector, sink, stream } from '@ecokit/contracts'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { openEcosystem } from '../src/ecosystem.ts'

const row = z.object({ id: z.int() })
const pages = 50

/** A source of fifty quick pages, and a sink that counts its commits. */
const counting = (onCommit: () => void) =>
  defineConnector(
    {
      ...{ id: 'quick', title: 'Quick partner', config: z.strictObject({}), hosts: [] },
      streams: { rows: stream({ schema: row, primaryKey: ['id'], cursor: 'id' }) },
      sinks: { rows: sink<typeof row>({ accepts: ['records'], dispositions: ['merge'], commit: 'idempotent' }) },
    },
    () => ({
      check: () => Promise.resolve({}),
      read: {
        rows: async function* () {
          for (let id = 1; id <= pages; id += 1) {
            await Promise.resolve()
            yield { encoding: 'records', records: [{ id }], checkpoint: { id } }
          }
        },
      },
      write: {
        rows: () =>
          Promise.resolve({
            resumesFrom: () => Promise.resolve(undefined),
            write: (batch) =>
              Promise.resolve({ rows: batch.encoding === 'records' ? batch.records.length : 0, rejected: [] }),
            commit: () => {
              onCommit()
              return Promise.resolve()
            },
            [Symbol.asyncDispose]: () => Promise.resolve(),
          }),
      },
    }),
  )

test.each([
  ['page', pages, pages + 1],
  // A machine that stands still for a while commits by the second.
  ['1GiB', 1, 10],
])('commit: %s of the file reaches the engine', async (commit, least, most) => {
  const folder = await mkdtemp(join(tmpdir(), 'ecokit-commit-'))
  onTestFinished(() => rm(folder, { recursive: true, maxRetries: 10 }))
  const file = join(folder, 'ecosystem.yaml')
  await writeFile(
    file,
    `version: 1
partners:
  quick: { connector: quick }
pipelines:
  p: { source: quick, sink: quick, commit: ${commit} }
`,
  )
  let commits = 0
  const runtime = await openEcosystem({ file, connectors: [counting(() => (commits += 1))], env: {} })
  onTestFinished(() => runtime.close())
  expect(await runtime.sync('p')).toMatchObject({ status: 'completed', streams: [{ written: pages }] })
  expect(commits).toBeGreaterThanOrEqual(least)
  expect(commits).toBeLessThanOrEqual(most)
})
