import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatReport, testConnector } from '../src/index.ts'
import { notes, notesOptions } from './notes.ts'
import { startNotes } from './notes-server.ts'

let server: Awaited<ReturnType<typeof startNotes>>
beforeAll(async () => {
  server = await startNotes()
})
afterAll(() => server.stop())

test('a good connector passes every rule', async () => {
  const report = await testConnector(notes, notesOptions(server))
  expect(report.results.filter(({ status }) => status !== 'passed')).toEqual([])
  expect(report).toMatchObject({ connector: 'notes', ok: true, failed: 0, notApplicable: 0, exposed: [] })
  expect(formatReport(report).split('\n').at(-1)).toBe(`notes: ${report.passed} passed, 0 failed, 0 not applicable`)
})

test('an exception is reported with its reason, and so is what was left out', async () => {
  const options = notesOptions(server)
  const { 'notes.get': _get, ...samples } = options.samples ?? {}
  const report = await testConnector(notes, {
    ...options,
    samples,
    without: { 'notes.get': 'no note is sure to be there' },
    exceptions: { 'sinks.prune': 'the server prunes by itself' },
    rules: [
      { id: 'own.rule', title: 'Holds', run: ({ probes, fail }) => (probes().length > 0 ? undefined : fail('none')) },
    ],
  })
  expect(report.results.filter(({ status }) => status !== 'passed')).toEqual([
    expect.objectContaining({ rule: 'sinks.prune', status: 'not_applicable', message: 'the server prunes by itself' }),
  ])
  expect(report.results.at(-1)).toEqual({ rule: 'own.rule', title: 'Holds', status: 'passed' })
})

test('a connector that only reads is held only to what is about it', async () => {
  const { sinks: _sinks, ...manifest } = notes.manifest
  const reading = { ...notes, manifest }
  const { sinks: _samples, ...options } = notesOptions(server)
  const report = await testConnector(reading, {
    ...options,
    exceptions: { 'open.complete': 'it has more' },
  })
  expect(report.failed).toBe(0)
  const skipped = report.results.filter(({ status }) => status === 'not_applicable').map(({ rule }) => rule)
  expect(skipped.every((rule) => /^(?:sinks|manifest\.sinks|open\.complete)/.test(rule))).toBe(true)
  expect(skipped.length).toBeGreaterThan(10)
})
