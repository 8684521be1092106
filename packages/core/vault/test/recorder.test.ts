import path from 'node:path'
import { openAudit } from '@ecokit/audit'
import { expect, test, vi } from 'vitest'
import { type Auditor, openVault } from '../src/index.ts'
import { db, keysOf, me, memoryAudit, newKey, openedStore, openedVault, temporaryFolder } from './support.ts'

test('a read is answered only after its entry is written, repeats only count, and their number follows', async () => {
  let now = 1000
  const audit = memoryAudit()
  const vault = await openedVault({ store: await openedStore(), audit, now: () => now, freshMs: 1000 })
  await vault.put(db, 'x', me)
  audit.entries.length = 0
  for (let turn = 0; turn < 100; turn++) {
    await vault.get(db, me)
    now += 10
  }
  await vault.get(db, { ...me, actor: 'other' })
  const common = { tenant: 'default', action: 'vault.get', target: 'warehouse/db-password', outcome: 'allowed' }
  const first = { ...common, ...me, details: { version: 'active', repeatsUntil: 61_000 } }
  expect(audit.entries).toEqual([
    first,
    { ...first, actor: 'other', details: { version: 'active', repeatsUntil: 62_000 } },
  ])
  now = 61_000
  await vault.get(db, me)
  expect(audit.entries.slice(2)).toEqual([
    { ...first, details: { version: 'active', repeats: 99, from: 1000, to: 1990 } },
    { ...first, details: { version: 'active', repeatsUntil: 121_000 } },
  ])
  await vault.get(db, me)
  await vault.close()
  expect(audit.entries.at(-1)?.details).toEqual({ version: 'active', repeats: 1, from: 61_000, to: 61_000 })
})

test('nobody is answered while the entry is not durable, however many ask at once', async () => {
  const store = await openedStore()
  const keys = keysOf(newKey())
  await (await openedVault({ store, keys })).put(db, 'x', me)
  let written = (): void => {}
  const append = vi.fn(() => new Promise<void>((resolve) => (written = resolve)))
  const vault = await openVault({ store, keys, allow: () => true, audit: { append } })
  let answered = 0
  const reads = Array.from({ length: 20 }, async () => {
    await vault.get(db, me)
    answered += 1
  })
  await vi.waitFor(() => expect(append).toHaveBeenCalled())
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
  expect([answered, append.mock.calls.length]).toEqual([0, 1])
  written()
  await Promise.all(reads)
  expect([answered, append.mock.calls.length]).toEqual([20, 1])
})

test('an entry that could not be written answers nobody, and the next read tries again', async () => {
  const store = await openedStore()
  const keys = keysOf(newKey())
  await (await openedVault({ store, keys })).put(db, 'x', me)
  const audit = memoryAudit()
  let broken = true
  const failing: Auditor = {
    append: (entry) => (broken ? Promise.reject(new Error('disk full')) : audit.append(entry)),
  }
  const vault = await openedVault({ store, keys, audit: failing })
  const reads = [vault.get(db, me), vault.get(db, me)]
  for (const read of reads) await expect(read).rejects.toThrow('disk full')
  await expect(vault.get(db, me)).rejects.toThrow('disk full')
  broken = false
  expect(await vault.get(db, me)).toBe('x')
  expect(audit.entries).toHaveLength(1)
})

test('a count that could not be written is owed, and written with the next', async () => {
  let now = 0
  const audit = memoryAudit()
  let broken = false
  const failing: Auditor = {
    append: (entry) => (broken ? Promise.reject(new Error('disk full')) : audit.append(entry)),
  }
  const vault = await openedVault({ store: await openedStore(), audit: failing, now: () => now })
  await vault.put(db, 'x', me)
  for (let turn = 0; turn < 4; turn++) await vault.get(db, me)
  now = 60_000
  broken = true
  await expect(vault.get(db, me)).rejects.toThrow('disk full')
  broken = false
  await vault.get(db, me)
  expect(audit.entries.slice(2).map(({ details }) => details)).toEqual([
    { version: 'active', repeats: 3, from: 0, to: 0 },
    { version: 'active', repeatsUntil: 120_000 },
  ])
})

test('the count follows when the window ends, although nobody reads again', async () => {
  const audit = memoryAudit()
  const vault = await openedVault({ store: await openedStore(), audit, auditWindowMs: 5 })
  await vault.put(db, 'x', me)
  for (let turn = 0; turn < 50; turn++) await vault.get(db, me)
  const counted = (): number =>
    audit.entries.reduce((sum, { action, details }) => {
      const repeats = Number(details?.['repeats'] ?? 0)
      return action === 'vault.get' ? sum + (repeats === 0 ? 1 : repeats) : sum
    }, 0)
  await vi.waitFor(() => expect(counted()).toBe(50))
})

test('an entry for each read where that is asked for; what was denied, missing or damaged stands there too', async () => {
  const store = await openedStore()
  const audit = memoryAudit()
  const vault = await openedVault({
    store,
    audit,
    auditWindowMs: 0,
    allow: ({ actor }) => actor !== 'stranger',
  })
  await vault.put(db, 'x', me)
  await vault.get(db, me)
  await vault.get(db, me, { version: 1 })
  await expect(vault.get(db, { actor: 'stranger', reason: 'curious' })).rejects.toMatchObject({ code: 'forbidden' })
  await expect(vault.get(db, me, { version: 7 })).rejects.toMatchObject({ code: 'not_found' })
  await store.db.updateTable('vault_records').set({ created_at: 1 }).execute()
  await expect(vault.get(db, me)).rejects.toMatchObject({ code: 'invalid_data' })
  expect(
    audit.entries.map(({ actor, reason, action, outcome, details }) => [
      `${actor} ${reason}`,
      `${action} ${outcome}`,
      details,
    ]),
  ).toEqual([
    ['test because', 'vault.put allowed', { staged: false }],
    ['test because', 'vault.get allowed', { version: 'active' }],
    ['test because', 'vault.get allowed', { version: '1' }],
    ['stranger curious', 'vault.get denied', { version: '-' }],
    ['test because', 'vault.get failed', { version: '7: not_found' }],
    ['test because', 'vault.get failed', { version: 'active: invalid_data' }],
  ])
})

test('with the real audit log: every access stands in a chain that verifies', async () => {
  const store = await openedStore(path.join(await temporaryFolder(), 'state.db'))
  const audit = await openAudit({ store })
  const vault = await openedVault({ store, audit, allow: ({ actor }) => actor !== 'stranger' })
  await vault.put(db, 'canary', me)
  await Promise.all(Array.from({ length: 50 }, () => vault.get(db, me)))
  await expect(vault.get(db, { actor: 'stranger', reason: 'curious' })).rejects.toMatchObject({ code: 'forbidden' })
  await vault.rotate({ dataKeys: true }, me)
  await vault.close()
  const entries = await audit.list()
  expect(entries.map(({ actor, action, outcome }) => `${actor} ${action} ${outcome}`).reverse()).toEqual([
    'test vault.put allowed',
    'test vault.get allowed',
    'stranger vault.get denied',
    'test vault.rotate allowed',
    'test vault.get allowed',
  ])
  expect(entries[0]?.details).toMatchObject({ repeats: 49 })
  expect(JSON.stringify(entries)).not.toContain('canary')
  expect(await audit.verify()).toMatchObject({ ok: true, entries: 5 })
})
