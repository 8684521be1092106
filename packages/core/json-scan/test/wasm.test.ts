import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { int64 } from '@ecokit/contracts'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { openScanner } from '../src/index.ts'

const root = join(import.meta.dirname, '..')

test('the WebAssembly in the sources is what the sources compile to', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'scan-'))
  const made = join(folder, 'made.ts')
  execFileSync(process.execPath, [join(root, 'build.mjs'), made])
  expect(readFileSync(made, 'utf8')).toBe(readFileSync(join(root, 'src', 'scan.wasm.ts'), 'utf8'))
  rmSync(folder, { recursive: true })
})

const Run = z.object({
  id: z.string().regex(/^[a-zß]+$/),
  n: int64(),
  m: z.int().min(-5).max(5),
  tags: z.record(z.string(), z.record(z.string(), z.string())).optional(),
  list: z.array(z.object({ a: z.boolean().optional(), b: z.enum(['x', 'a longer one than sixteen']) })).max(3),
})

test.each([
  { id: 'ß', n: 1, m: 5, list: [] },
  { id: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', n: -9, m: -5, tags: {}, list: [{ b: 'x' }, { a: true, b: 'x' }] },
  { id: 'q', n: 1, m: 0, tags: { a: { b: 'c', d: 'e' }, f: {} }, list: [{ b: 'a longer one than sixteen' }] },
])('takes %j without the object road', (record) => {
  const scanned = openScanner(Run).scan(Buffer.from(JSON.stringify([record, record])))
  expect([scanned.count, scanned.exceptions, scanned.rejected]).toEqual([2, 0, []])
})
test.each([
  [{ id: 'A', n: 1, m: 0, list: [] }, 'id'],
  [{ id: 'a', n: 1, m: 6, list: [] }, 'm'],
  [{ id: 'a', n: 1, m: 0, list: [{ b: 'y' }] }, 'list.0.b'],
  [{ id: 'a', n: 1, m: 0, list: [1, 2, 3, 4] }, 'list'],
  [{ id: 'a', n: 1, m: 0, tags: { a: { b: 1 } }, list: [] }, 'tags.a.b'],
])('refuses %j at %s', (record, field) => {
  const scanned = openScanner(Run).scan(Buffer.from(JSON.stringify([record])))
  expect(scanned.rejected).toMatchObject([{ index: 0, field }])
})

test('memory grows with the page, and a record may be large', () => {
  const scanner = openScanner(z.object({ text: z.string() }))
  for (const size of [10, 20_000_000, 10]) {
    const text = 'x'.repeat(size)
    const { chunks, count } = scanner.scan(Buffer.from(JSON.stringify({ rows: [{ text }, { text }] })), {
      at: ['rows'],
    })
    expect(count).toBe(2)
    expect(Buffer.concat(chunks).length).toBe(2 * (size + 12))
  }
})

test('what cannot be scanned is said in words', () => {
  expect(() => openScanner(z.object({ a: z.string().trim() }))).toThrow('a: the check overwrite is code')
  const scan = () => openScanner(z.object({})).scan(Buffer.from('<html>'), { at: ['data'], partner: 'acme' })
  expect(scan).toThrow(
    expect.objectContaining({
      code: 'invalid_reply',
      details: { field: 'data' },
      message: expect.stringContaining('acme: a page of records cannot be read') as string,
    }),
  )
})
