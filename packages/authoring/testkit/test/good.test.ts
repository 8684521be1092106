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
  console.log(formatReport(report))
  expect(report.results.filter(({ status }) => status !== 'passed')).toEqual([])
})
