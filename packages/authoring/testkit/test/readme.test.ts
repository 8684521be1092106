import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eachRule, rulesFor, startPlatform } from '../src/index.ts'
import type { Platform, Report, Rule } from '../src/index.ts'
import { notes, notesOptions } from './notes.ts'
import { startNotes } from './notes-server.ts'

let partner: Platform
let server: Awaited<ReturnType<typeof startNotes>>
beforeAll(async () => {
  partner = await startPlatform(() => ({ kind: 'reply', status: 200, body: '{"version":"1"}' }))
  server = await startNotes()
})
afterAll(() => Promise.all([partner.stop(), server.stop()]))

test('the README begins with lines that run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const folder = new URL('../.cache/', import.meta.url)
  await mkdir(folder, { recursive: true })
  await writeFile(new URL('readme.ts', folder), `const partner = '${partner.url}'\n${code}\nexport { report }\n`)
  const { report } = (await import(new URL('readme.ts', folder).href)) as { report: Report }
  expect(report.results.filter(({ status }) => status === 'failed')).toEqual([])
  expect(readme).toContain(`${rulesFor({}).length} rules`)
  const named = ({ id }: Rule) => readme.includes(`\`${id}\``) || readme.includes(`\`${id.split('.')[1] ?? ''}\``)
  expect(rulesFor({}).filter((rule) => !named(rule))).toEqual([])
})

test('the adapter makes one test of each rule, a template’s own among them, and starts the partner once', async () => {
  const defined: { title: string; run: () => Promise<void> }[] = []
  const broken: Rule = { id: 'own.broken', title: 'Never holds', run: ({ fail }) => fail('as it must') }
  const idle: Rule = { id: 'own.idle', title: 'Is about nothing', applies: () => false, run: ({ fail }) => fail('ran') }
  let started = 0
  const options = () => {
    started += 1
    return Promise.resolve(notesOptions(server))
  }
  eachRule((title, run) => defined.push({ title, run }), notes, options, [broken, idle])
  expect(defined).toHaveLength(rulesFor({}).length + 2)
  expect(started).toBe(0)
  const run = (id: string) => defined.find(({ title }) => title.startsWith(`${id}: `))?.run()
  await run('check.healthy')
  await run('own.idle')
  await expect(run('own.broken')).rejects.toThrow('as it must')
  expect(started).toBe(1)
})
