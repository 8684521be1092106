import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { bearer } from '@ecokit/auth'
import { defineConnector, stream } from '@ecokit/contracts'
import type { AnyConnector, RestStream } from '@ecokit/contracts'
import { testConnector } from '../src/index.ts'
import { Note } from './notes.ts'
import { startNotes, token } from './notes-server.ts'

let server: Awaited<ReturnType<typeof startNotes>>
beforeAll(async () => {
  server = await startNotes()
})
afterAll(() => server.stop())

/** A stranger's connector: a check, and streams that are only declared. */
const declared = (rest: Partial<RestStream> = {}, more: object = {}): AnyConnector =>
  defineConnector(
    {
      id: 'stranger',
      title: 'Stranger',
      config: z.strictObject({ url: z.url() }),
      hosts: ['{url}'],
      auth: { token: bearer() },
      streams: {
        notes: stream({
          schema: Note,
          primaryKey: ['id'],
          cursor: 'seq',
          rest: {
            path: 'notes',
            records: 'items',
            paging: { kind: 'token', parameter: 'from', next: 'next' },
            incremental: { since: { parameter: 'since' } },
            ...rest,
          } as RestStream<z.ZodType, z.input<typeof Note>>,
        }),
      },
    },
    ({ config, http }) => ({
      check: async (options) => {
        await http(config.url).json({ method: 'GET', path: 'about' }, z.object({ version: z.string() }), options)
        return {}
      },
      ...more,
    }),
  )
const proved = async (connector: AnyConnector) =>
  testConnector(connector, {
    config: { url: server.url },
    credentials: { scheme: 'token', token },
    at: (url) => ({ url }),
    invalidConfigs: [{ config: { url: 'no url' }, field: 'config.url' }],
    streams: { notes: { atLeast: 8 } },
    deadlineMs: 4_000,
  })

test('a connector whose streams are all declared keeps every rule, without a line that reads', async () => {
  const report = await proved(declared())
  expect(report.results.filter(({ status }) => status === 'failed')).toEqual([])
  const passed = report.results.filter(({ status }) => status === 'passed').map(({ rule }) => rule)
  for (const rule of [
    'streams.rows',
    'streams.resume',
    'streams.forward',
    'cancel.middle',
    'errors.middle',
    'manifest.declared',
  ])
    expect(passed).toContain(rule)
})

test('the fields of a declaration are held strictly, in words that say what is allowed', async () => {
  const misspelt = declared({ record: 'items' } as never)
  const failed = (await proved(misspelt)).results.filter(({ status }) => status === 'failed')
  expect(failed.find(({ rule }) => rule === 'manifest.declared')?.message).toContain(
    'notes: rest.record: there is no such field; choose one of: base, method, path',
  )
})

test.each<[string, string, () => AnyConnector]>([
  [
    'streams.rows',
    'looks for the next page where it is not',
    () => declared({ paging: { kind: 'token', parameter: 'from', next: 'nxt' } }),
  ],
  ['streams.rows', 'takes a list that it does not find for none', () => declared({ records: 'notes', mayLack: true })],
  ['open.complete', 'reads by code what it declares', () => declared({}, { read: { notes: () => ({}) } })],
  [
    'streams.keys',
    'gives several records one key',
    () =>
      declared({
        map: (record: z.output<typeof Note>) => ({ ...record, id: record.id.slice(0, 1) }),
        wire: Note,
      } as never),
  ],
])('%s catches one that %s', async (rule, _does, connector) => {
  const report = await proved(connector())
  const failed = report.results.filter(({ status }) => status === 'failed').map((result) => result.rule)
  expect(failed).toContain(rule)
})
