import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import type { AnyConnector } from '@ecokit/contracts'
import { connectUnknown } from '../src/index.ts'
import { readAll, serve, slice } from './rest-support.ts'

test('a stream of a paged API is declared in at most 15 lines, as the README shows, and is read', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const [, code = ''] = /## Streams as declaration[\s\S]*?```ts\n([\s\S]*?)```/.exec(readme) ?? []
  const lines = /const \w+ = stream\([\s\S]*?\n\}\)\n/.exec(code)?.[0].trimEnd().split('\n') ?? []
  expect(lines.length).toBeGreaterThan(5)
  expect(lines.length).toBeLessThanOrEqual(15)
  const folder = new URL('../.cache/', import.meta.url)
  await mkdir(folder, { recursive: true })
  await writeFile(new URL('declared.ts', folder), code)
  const { desk } = (await import(new URL('declared.ts', folder).href)) as { desk: AnyConnector }

  const all = Array.from({ length: 7 }, (_, id) => ({
    id,
    subject: `s${id}`,
    updated_at: `2026-01-0${id + 1}T00:00:00Z`,
  }))
  const { url } = await serve(({ path, query }) => {
    if (path === '/v1/me') return { body: { name: 'me' } }
    const found = all.filter(({ updated_at: at }) => at >= (query['updated_since'] ?? ''))
    const { items, next } = slice(found, Number(query['page_token'] ?? 0), 3)
    return { body: { data: items, next: next === undefined ? null : String(next) } }
  })
  const connection = connectUnknown(desk, { config: { url }, credentials: { scheme: 'token', token: 't' } })
  expect((await connection.check()).status).toBe('healthy')
  const read = await readAll(connection, 'tickets')
  expect(read.rows).toEqual(all)
  expect([...read.encodings]).toEqual(['ndjson'])
  const next = await readAll(connection, 'tickets', { checkpoint: read.checkpoint })
  expect(next.rows).toEqual(all.slice(-1))
  await connection.close()
})
