import { integrationError } from '@ecokit/contracts'
import type { CallOptions } from '@ecokit/contracts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { rulesFor, startPlatform, testConnector } from '../src/index.ts'
import type { Platform } from '../src/index.ts'
import { badConnectors } from './bad.ts'
import { bend } from './bend.ts'
import { notesOptions } from './notes.ts'
import { startNotes } from './notes-server.ts'

let server: Awaited<ReturnType<typeof startNotes>>
let elsewhere: Platform
beforeAll(async () => {
  server = await startNotes()
  elsewhere = await startPlatform(() => ({ kind: 'reply', status: 200, body: '{}' }))
})
afterAll(() => Promise.all([server.stop(), elsewhere.stop()]))

test('every rule has a connector that breaks it', () => {
  const broken = badConnectors('').map(({ rule }) => rule)
  expect(broken.toSorted()).toEqual(
    rulesFor({})
      .map(({ id }) => id)
      .toSorted(),
  )
})

for (const [index, { rule, does }] of badConnectors('').entries())
  test(`${rule} alone catches a connector that ${does}`, async () => {
    const bad = badConnectors(elsewhere.url)[index]!
    const options = { ...notesOptions(server), deadlineMs: 4000 }
    const report = await testConnector(bad.connector, bad.options?.(options) ?? options)
    const failed = report.results.filter(({ status }) => status === 'failed')
    expect(failed.map((result) => [result.rule, result.message])).toEqual([[rule, expect.any(String)]])
  })

test('discover.tables also catches one that cannot describe a table', async () => {
  const connector = bend({}, ({ discover }) => ({
    async *discover(options: CallOptions) {
      for await (const table of discover(options))
        yield {
          ...table,
          fault: integrationError('invalid_data', {
            what: 'two columns have the same name',
            details: { stream: table.name, field: 'id' },
          }),
        }
    },
  }))
  const { results } = await testConnector(connector, { ...notesOptions(server), deadlineMs: 4000 })
  const failed = results.filter(({ status }) => status === 'failed')
  expect(failed.map(({ rule, message }) => [rule, message])).toEqual([
    ['discover.tables', expect.stringMatching(/cannot be described: two columns have the same name/)],
  ])
})
