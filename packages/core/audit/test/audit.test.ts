import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { openStore, type Store } from '@ecokit/store'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import {
  type Audit,
  type AuditOptions,
  ed25519Signer,
  ed25519Verifier,
  hmacSigner,
  type NewEntry,
  openAudit,
  verifyExport,
} from '../src/index.ts'
import { tamper } from './tamper.ts'

const signer = hmacSigner(Buffer.alloc(32, 7), 'test')
const temporaryFile = async (): Promise<string> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-audit-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return path.join(folder, 'state.db')
}
const opened = async (
  file = ':memory:',
  options: Partial<AuditOptions> = { sign: signer },
): Promise<{ readonly audit: Audit; readonly store: Store }> => {
  const store = await openStore(file)
  onTestFinished(() => store.close())
  return { store, audit: await openAudit({ store, headEvery: 8, ...options }) }
}
const anEntry: NewEntry = { actor: 'user/anna', action: 'vault.get', target: 'partner/mlflow', outcome: 'allowed' }
const fill = async (audit: Audit, count: number): Promise<void> => {
  for (let index = 0; index < count; index++)
    await audit.append({ ...anEntry, target: `partner/${index % 5}`, details: { index } })
}
const lines = async (audit: Audit): Promise<string[]> => {
  const all: string[] = []
  for await (const line of audit.export()) all.push(line)
  return all
}

test('an entry holds what was said, and is listed by its parts, page by page', async () => {
  const { audit } = await opened(':memory:', { sign: signer, now: () => 1234 })
  const entry = await audit.append({ ...anEntry, tenant: 't', reason: 'nightly', details: { version: 3 } })
  expect(entry).toEqual({
    ...anEntry,
    tenant: 't',
    reason: 'nightly',
    details: { version: 3 },
    at: 1234,
    position: 1,
    previous: '0'.repeat(64),
    hash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
  })
  await audit.append({ ...anEntry, actor: 'user/ben', outcome: 'denied' })
  await audit.append({ ...anEntry, action: 'login' })
  const positions = async (...options: Parameters<Audit['list']>) =>
    (await audit.list(...options)).map(({ position }) => position)
  expect(await positions()).toEqual([3, 2, 1])
  expect((await audit.list())[2]).toEqual(entry)
  expect(await positions({ limit: 2 })).toEqual([3, 2])
  expect(await positions({ limit: 2, before: 2 })).toEqual([1])
  expect(await positions({ actor: 'user/ben' })).toEqual([2])
  expect(await positions({ action: 'vault.get' })).toEqual([2, 1])
  expect(await positions({ outcome: 'denied', target: 'partner/mlflow' })).toEqual([2])
  expect(await positions({ tenant: 't' })).toEqual([1])
  expect(await positions({ from: 1235 })).toEqual([])
  expect(await positions({ to: 1235 })).toEqual([3, 2, 1])
  expect(await audit.verify()).toEqual({ ok: true, entries: 3, headAt: 1234, signedFrom: 1 })
})

test('whatever is said comes back, verifies, and verifies in the export', async () => {
  const text = fc.string({ unit: 'binary', maxLength: 40 })
  const entries = fc.record(
    {
      tenant: text,
      actor: text,
      action: text,
      target: text,
      reason: text,
      outcome: fc.constantFrom('allowed' as const, 'denied' as const, 'failed' as const),
      details: fc.dictionary(text, fc.jsonValue()),
    },
    { requiredKeys: ['actor', 'action', 'target', 'outcome'] },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(entries, { maxLength: 30 }), fc.integer({ min: 1, max: 12 }), async (all, headEvery) => {
      await using store = await openStore(':memory:')
      const audit = await openAudit({ store, sign: signer, headEvery })
      for (const [index, entry] of all.entries())
        if (index % 3 > 0) await audit.append(entry)
        else void audit.append(entry)
      await audit.append(anEntry)
      const listed = (await audit.list()).toReversed()
      const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
      expect(listed.slice(0, -1)).toEqual(
        all.map((entry, index) => ({
          tenant: 'default',
          ...(plain(entry) as object),
          at: expect.any(Number) as number,
          position: index + 1,
          previous: listed[index - 1]?.hash ?? '0'.repeat(64),
          hash: listed[index]?.hash,
        })),
      )
      expect(await audit.verify()).toMatchObject({ ok: true, entries: all.length + 1 })
      expect(await verifyExport(audit.export(), signer)).toMatchObject({ ok: true, entries: all.length + 1 })
    }),
    { numRuns: 60 },
  )
})

test('what is too long, not JSON or no outcome is refused, and nothing is written', async () => {
  const { audit } = await opened()
  const endless: Record<string, unknown> = {}
  endless['self'] = endless
  const refused: [string, Partial<NewEntry>][] = [
    ['actor', { actor: 'x'.repeat(1025) }],
    ['reason', { reason: 'x'.repeat(4097) }],
    ['details', { details: { text: 'ü'.repeat(8200) } }],
    ['details', { details: endless }],
    ['details', { details: { big: 1n } }],
    ['outcome', { outcome: 'maybe' as 'failed' }],
    ['target', { target: 3 as unknown as string }],
  ]
  for (const [field, part] of refused)
    await expect(audit.append({ ...anEntry, ...part })).rejects.toMatchObject({
      code: 'invalid_input',
      details: { field },
    })
  expect(await audit.verify()).toEqual({ ok: true, entries: 0 })
  await audit.append({ ...anEntry, actor: 'x'.repeat(1024), details: { text: 'x'.repeat(16_000) } })
  expect(await audit.verify()).toMatchObject({ ok: true, entries: 1 })
})

test('appends that come together share transactions, and a fault fails all of them', async () => {
  const { audit, store } = await opened()
  const entries = await Promise.all(
    Array.from({ length: 1200 }, (_, index) => audit.append({ ...anEntry, details: { index } })),
  )
  expect(entries.map(({ position }) => position)).toEqual(entries.map((_, index) => index + 1))
  expect(entries.map(({ details }) => details?.['index'])).toEqual(entries.map((_, index) => index))
  expect(
    (await store.db.selectFrom('audit_heads').select('position').orderBy('position').execute()).map(
      ({ position }) => position,
    ),
  ).toEqual([500, 1000, 1200])
  await store.db.updateTable('audit_newest').set({ signature: 'AAAA' }).execute()
  const again = await openAudit({ store, sign: signer })
  const results = await Promise.allSettled([again.append(anEntry), again.append(anEntry)])
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  await expect(again.append(anEntry)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(/its newest head has a signature that is not genuine. Verify the log/) as string,
  })
})

test('processes that append at once leave no gap', async () => {
  const file = await temporaryFile()
  const worker = fileURLToPath(new URL('worker.ts', import.meta.url))
  const names = ['one', 'two', 'three', 'four']
  const ends = names.map(async (name) => {
    const child = spawn(process.execPath, [worker, file, name, '150'], { stdio: ['ignore', 'inherit', 'pipe'] })
    let said = ''
    child.stderr.on('data', (text: Buffer) => (said += text.toString()))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, said }
  })
  expect(await Promise.all(ends)).toEqual(names.map(() => ({ code: 0, said: '' })))
  const { audit } = await opened(file, { sign: signer })
  expect(await audit.verify()).toMatchObject({ ok: true, entries: 600, signedFrom: 1 })
  for (const actor of names) {
    const own = await audit.list({ actor, limit: 1000 })
    expect(own.map(({ details }) => details?.['index'])).toEqual(Array.from({ length: 150 }, (_, index) => 149 - index))
  }
}, 60_000)

test('the database refuses to change or delete an entry or a head', async () => {
  const { audit, store } = await opened()
  await fill(audit, 9)
  const refused = [
    store.db.updateTable('audit_entries').set({ entry: '{}' }).where('position', '=', 1),
    store.db.deleteFrom('audit_entries').where('position', '=', 1),
    store.db.updateTable('audit_heads').set({ head: 'x' }),
    store.db.deleteFrom('audit_heads'),
  ]
  for (const query of refused)
    await expect(query.execute()).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('append-only') as string,
    })
  expect(await audit.verify()).toMatchObject({ ok: true, entries: 9 })
})

test('a database that was put back is found by the heads beside it', async () => {
  const file = await temporaryFile()
  const first = await openStore(file)
  await fill(await openAudit({ store: first, sign: signer, headEvery: 4 }), 10)
  await first.close()
  const old = readFileSync(file)
  const { audit, store } = await opened(file, { sign: signer, headEvery: 4 })
  await fill(audit, 5)
  expect(await audit.verify()).toMatchObject({ ok: true, entries: 15 })
  await store.close()
  writeFileSync(file, old)
  const back = await opened(file, { sign: signer, headEvery: 4 })
  expect(await back.audit.verify()).toMatchObject({ ok: false, position: 11, kind: 'truncated' })
  expect(await (await openAudit({ store: back.store, sign: signer, headsFile: null })).verify()).toMatchObject({
    ok: true,
    entries: 10,
  })
  // Written on, it is as long as before, and other.
  await fill(back.audit, 8)
  expect(await back.audit.verify()).toMatchObject({ ok: false, position: 11, kind: 'edited' })
})

test('a line of the heads file that was cut off is passed over, one that was forged is told', async () => {
  const file = await temporaryFile()
  const { audit } = await opened(file)
  await fill(audit, 3)
  appendFileSync(`${file}.audit-heads`, '{"head":"{\\"posi\n\n')
  expect(await audit.verify()).toMatchObject({ ok: true })
  const forged = readFileSync(`${file}.audit-heads`, 'utf8')
    .split('\n')[0]
    ?.replace('\\"position\\":1,', '\\"position\\":7,')
  appendFileSync(`${file}.audit-heads`, `${forged ?? ''}\n`)
  expect(await audit.verify()).toMatchObject({
    ok: false,
    position: 7,
    what: expect.stringContaining('has a signature that is not genuine') as string,
  })
})

test('a log that began without a key is signed from the moment there is one, and then needs it', async () => {
  const { audit, store } = await opened(':memory:', {})
  await fill(audit, 20)
  expect(await audit.verify()).toEqual({ ok: true, entries: 20, headAt: expect.any(Number) as number })
  const signed = await openAudit({ store, sign: signer, headEvery: 8 })
  await fill(signed, 20)
  expect(await signed.verify()).toMatchObject({ ok: true, entries: 40, signedFrom: 21 })
  await expect(audit.append(anEntry)).rejects.toMatchObject({ code: 'invalid_config' })
  const other = await openAudit({ store, sign: hmacSigner(Buffer.alloc(32, 8), 'other') })
  await expect(other.append(anEntry)).rejects.toThrow(/signed with the key test, which is not trusted/)
  const successor = await openAudit({ store, sign: hmacSigner(Buffer.alloc(32, 8), 'other'), trust: [signer] })
  await successor.append(anEntry)
  expect(await successor.verify()).toMatchObject({ ok: true, entries: 41 })
  expect(await signed.verify()).toMatchObject({ ok: false })
})

test('whoever has the public key alone can verify', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const { audit } = await opened(':memory:', { sign: ed25519Signer(privateKey) })
  await fill(audit, 30)
  expect(await verifyExport(await lines(audit), ed25519Verifier(publicKey))).toMatchObject({ ok: true, signedFrom: 1 })
  const stranger = ed25519Verifier(generateKeyPairSync('ed25519').publicKey)
  expect(await verifyExport(await lines(audit), stranger)).toMatchObject({ ok: false, position: 8 })
})

test('an export that was changed in any line is refused at that entry', async () => {
  const { audit } = await opened(':memory:', { sign: signer, headEvery: 8 })
  await fill(audit, 30)
  const whole = await lines(audit)
  expect(await verifyExport(whole, signer)).toMatchObject({ ok: true, entries: 30 })
  const entryLines = whole.flatMap((line, index) => (line.startsWith('{"position"') ? [index] : []))
  expect(entryLines).toHaveLength(30)
  for (const [index, line] of entryLines.entries()) {
    const text = whole[line] ?? ''
    const edited = whole.with(line, text.replace('partner/', 'Partner/'))
    expect(await verifyExport(edited, signer)).toMatchObject({ ok: false, position: index + 1, kind: 'edited' })
    const removed = whole.toSpliced(line, 1)
    const kind = index === 29 ? 'truncated' : 'removed'
    expect(await verifyExport(removed, signer)).toMatchObject({ ok: false, position: index + 1, kind })
    const doubled = whole.toSpliced(line, 0, text.replace('partner/', 'Partner/'))
    expect(await verifyExport(doubled, signer)).toMatchObject({ ok: false, position: index + 1, kind: 'inserted' })
    expect(await verifyExport(whole.slice(0, line), signer)).toMatchObject({
      ok: false,
      position: index + 1,
      kind: 'truncated',
    })
  }
})

test('a verification tells how far it is, stops when told, and does not mind appends meanwhile', async () => {
  const { audit } = await opened(':memory:', { sign: signer, headEvery: 512 })
  await Promise.all(Array.from({ length: 3000 }, () => audit.append(anEntry)))
  const seen: number[] = []
  const appended: Promise<unknown>[] = []
  const verdict = await audit.verify({
    onProgress: ({ entries, of }) => {
      seen.push(entries)
      expect(of).toBeGreaterThanOrEqual(entries)
      if (appended.length < 20) appended.push(audit.append(anEntry))
    },
  })
  expect(verdict).toMatchObject({ ok: true })
  expect(seen.slice(0, 3)).toEqual([1000, 2000, 3000])
  await Promise.all(appended)
  const controller = new AbortController()
  const stopped = audit.verify({ signal: controller.signal, onProgress: () => controller.abort() })
  await expect(stopped).rejects.toMatchObject({ code: 'cancelled' })
})

test('each kind of change has its name and its place', async () => {
  const file = await temporaryFile()
  const { audit } = await opened(file, { sign: signer, headEvery: 8, headsFile: null })
  await fill(audit, 30)
  const hand = tamper(file)
  hand.remember()
  const move = (from: number, to: number) => `UPDATE audit_entries SET position = ${to} WHERE position = ${from}`
  const renumber = (from: number, by: number) => [
    `UPDATE audit_entries SET position = -position WHERE position >= ${from}`,
    `UPDATE audit_entries SET position = -position + ${by} WHERE position < 0`,
  ]
  const remove = (where: string) => `DELETE FROM audit_entries WHERE position ${where}`
  const forge = (position: number) =>
    `INSERT INTO audit_entries (position, entry) SELECT ${position}, replace(entry, 'anna', 'mary') FROM audit_entries WHERE position = 30`
  const changes: readonly [string, readonly string[], object][] = [
    [
      'another actor',
      ["UPDATE audit_entries SET entry = replace(entry, 'anna', 'mary') WHERE position = 12"],
      { position: 12, kind: 'edited' },
    ],
    ['some taken out', [remove('BETWEEN 12 AND 20')], { position: 12, kind: 'removed' }],
    ['one taken out, the gap closed', [remove('= 12'), ...renumber(13, -1)], { position: 12, kind: 'removed' }],
    ['one put in', [...renumber(12, 1), forge(12)], { position: 12, kind: 'inserted' }],
    ['two exchanged', [move(12, 99), move(17, 12), move(99, 17)], { position: 12, kind: 'reordered' }],
    ['one moved away', [move(12, 99)], { position: 12, kind: 'reordered' }],
    ['one more at the end', [forge(31)], { position: 31, kind: 'inserted' }],
    ['one before the first', [forge(-4)], { position: -4, kind: 'inserted' }],
    ['cut off', [remove('> 12')], { position: 13, kind: 'truncated' }],
    ['emptied', [remove('> 0')], { position: 1, kind: 'truncated' }],
    ['a head taken out', ['DELETE FROM audit_heads WHERE position = 16'], { position: 16, kind: 'removed' }],
    ['the newest head taken out', ['DELETE FROM audit_newest'], { position: 31, kind: 'truncated' }],
    [
      'cut off with all heads',
      ['DELETE FROM audit_newest', 'DELETE FROM audit_heads', remove('> 3')],
      { position: 4, kind: 'truncated' },
    ],
  ]
  for (const [what, statements, found] of changes) {
    for (const statement of statements) hand.run(statement)
    expect([what, await audit.verify()]).toMatchObject([what, { ok: false, ...found }])
    // What stands before the first entry is no part of an export.
    const exported = await verifyExport(audit.export(), signer)
    expect([what, exported]).toMatchObject([what, { ok: what === 'one before the first' }])
    hand.restore()
  }
  expect(await audit.verify()).toMatchObject({ ok: true, entries: 30 })
})

test('a log that was put back, emptied or rewritten without the key while somebody writes is not written on', async () => {
  const file = await temporaryFile()
  const { audit } = await opened(file)
  const by = tamper(file)
  by.remember()
  await fill(audit, 3)
  const refused = { code: 'conflict', message: expect.stringContaining('written already') as string }
  by.restore()
  await expect(audit.append(anEntry)).rejects.toMatchObject(refused)
  expect(by.rows('SELECT * FROM audit_entries')).toEqual([])

  const second = await temporaryFile()
  const other = await opened(second)
  const forged = await temporaryFile()
  await fill(other.audit, 2)
  const forger = await opened(forged, {})
  await fill(forger.audit, 4)
  const [target, source] = [tamper(second), tamper(forged)]
  for (const table of ['audit_entries', 'audit_heads', 'audit_newest']) {
    target.run(`DELETE FROM ${table}`)
    for (const row of source.rows(`SELECT * FROM ${table}`))
      target.run(
        `INSERT INTO ${table} (${Object.keys(row).join(', ')}) VALUES (${Object.keys(row)
          .map(() => '?')
          .join(', ')})`,
        ...Object.values(row),
      )
  }
  await expect(other.audit.append(anEntry)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('not signed, and earlier ones are') as string,
  })
})
