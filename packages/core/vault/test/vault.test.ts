import { spawnSync } from 'node:child_process'
import path from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openVault } from '../src/index.ts'
import { db, keysOf, me, memoryAudit, newKey, openedStore, openedVault, rowsOf, temporaryFolder } from './support.ts'

test('what is put is given back, after everything was closed and opened again too, and never stands in the database', async () => {
  const file = path.join(await temporaryFolder(), 'state.db')
  const keys = keysOf(newKey())
  const store = await openedStore(file)
  const vault = await openedVault({ store, keys })
  await vault.put(db, 'correct horse', me)
  await vault.put({ partner: '*', name: 'shared' }, 'battery staple', me)
  expect(await vault.get(db, me)).toBe('correct horse')
  const again = await openedVault({ store: await openedStore(file), keys })
  expect(await again.get(db, me)).toBe('correct horse')
  expect(await again.get({ partner: '*', name: 'shared' }, me)).toBe('battery staple')
  const found = spawnSync('grep', ['-c', '-a', '-e', 'correct horse', '-e', 'battery', file, `${file}-wal`])
  expect(found.stdout.toString()).toMatch(/state\.db:0\n.*-wal:0/)
})

test('any text comes back as it was; what is no text is refused', async () => {
  const vault = await openedVault({ store: await openedStore() })
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1 }), async (value) => {
      await vault.put(db, value, me)
      expect(await vault.get(db, me)).toBe(value)
    }),
    { numRuns: 200 },
  )
  await expect(vault.put(db, 'half \ud800', me)).rejects.toMatchObject({ code: 'invalid_input' })
  await expect(vault.put(db, '', me)).rejects.toMatchObject({ code: 'invalid_input' })
  await expect(vault.put(db, 'x'.repeat(2 ** 20 + 1), me)).rejects.toMatchObject({ code: 'too_large' })
  await expect(vault.put({ partner: 'p', name: '../x' }, 'v', me)).rejects.toMatchObject({ code: 'invalid_input' })
  await expect(vault.put({ partner: '', name: 'x' }, 'v', me)).rejects.toMatchObject({ code: 'invalid_input' })
})

test("a partner's own secret wins over the one for any, and no other partner sees it", async () => {
  const vault = await openedVault({ store: await openedStore() })
  await vault.put({ partner: '*', name: 'token' }, 'any', me)
  await vault.put({ partner: 'a', name: 'token' }, 'of a', me)
  await vault.put({ partner: 'a', name: 'only-a' }, 'mine', me)
  expect(await vault.get({ partner: 'a', name: 'token' }, me)).toBe('of a')
  expect(await vault.get({ partner: 'b', name: 'token' }, me)).toBe('any')
  await expect(vault.get({ partner: 'b', name: 'only-a' }, me)).rejects.toMatchObject({
    code: 'not_found',
    partner: 'b',
    message: 'b: the vault has no secret "only-a" for this partner. Set it with: ecokit vault set only-a --partner b',
  })
})

test('tenants have keys of their own and do not see each other', async () => {
  const store = await openedStore()
  const keys = keysOf(newKey())
  const one = await openedVault({ store, keys, tenant: 'one' })
  const two = await openedVault({ store, keys, tenant: 'two' })
  await one.put(db, 'first', me)
  await expect(two.get(db, me)).rejects.toMatchObject({ code: 'not_found' })
  await two.put(db, 'second', me)
  expect([await one.get(db, me), await two.get(db, me)]).toEqual(['first', 'second'])
  const [a, b] = await rowsOf(store)
  expect(a?.key_id).not.toBe(b?.key_id)
})

test('two versions side by side: staged, switched, rolled back, removed, and no number twice', async () => {
  const store = await openedStore()
  const vault = await openedVault({ store, now: () => 5 })
  expect(await vault.put(db, 'one', me, { stage: true })).toBe(1)
  await expect(vault.get(db, me)).rejects.toMatchObject({ code: 'not_found' })
  await vault.activate(db, 1, me)
  expect(await vault.put(db, 'two', me, { stage: true })).toBe(2)
  expect([await vault.get(db, me), await vault.get(db, me, { version: 2 })]).toEqual(['one', 'two'])
  await vault.activate(db, 2, me)
  expect([await vault.get(db, me), await vault.get(db, me, { version: 1 })]).toEqual(['two', 'one'])
  await vault.activate(db, 1, me)
  await vault.activate(db, 1, me)
  expect(await vault.get(db, me)).toBe('one')
  expect(await vault.put(db, 'three', me)).toBe(3)
  expect(await vault.get(db, me)).toBe('three')
  expect(await vault.versions(db, me)).toEqual([
    { version: 3, active: true, createdAt: 5 },
    { version: 2, active: false, createdAt: 5 },
    { version: 1, active: false, createdAt: 5 },
  ])
  await expect(vault.remove(db, me, { version: 3 })).rejects.toMatchObject({ code: 'conflict' })
  await expect(vault.activate(db, 9, me)).rejects.toMatchObject({ code: 'not_found' })
  await vault.activate(db, 2, me)
  await vault.remove(db, me, { version: 3 })
  await expect(vault.get(db, me, { version: 3 })).rejects.toMatchObject({ code: 'not_found' })
  await expect(vault.activate(db, 3, me)).rejects.toMatchObject({ code: 'not_found' })
  expect(await vault.put(db, 'four', me)).toBe(4)
  await vault.remove(db, me)
  await expect(vault.get(db, me)).rejects.toMatchObject({ code: 'not_found' })
  expect(await vault.list(me)).toEqual([])
  await expect(vault.remove(db, me)).rejects.toMatchObject({ code: 'not_found' })
  expect(await vault.put(db, 'five', me)).toBe(5)
  expect((await rowsOf(store)).map(({ version }) => version)).toEqual([5])
})

test('a list never shows a value', async () => {
  const vault = await openedVault({ store: await openedStore(), now: () => 7 })
  await vault.put(db, 'secret-1', me)
  await vault.put(db, 'secret-2', me, { stage: true })
  await vault.put({ partner: '*', name: 'api' }, 'secret-3', me)
  const listed = await vault.list(me)
  expect(listed).toEqual([
    { partner: '*', name: 'api', versions: [{ version: 1, active: true, createdAt: 7 }] },
    {
      ...db,
      versions: [
        { version: 2, active: false, createdAt: 7 },
        { version: 1, active: true, createdAt: 7 },
      ],
    },
  ])
  expect(JSON.stringify([listed, await vault.status()])).not.toContain('secret-')
})

test('nothing is allowed where nothing is said, and nobody may be nobody', async () => {
  const store = await openedStore()
  const closed = await openVault({ store, keys: keysOf(newKey()) })
  await expect(closed.get(db, me)).rejects.toMatchObject({ code: 'forbidden' })
  await expect(closed.put(db, 'x', me)).rejects.toMatchObject({ code: 'forbidden' })
  await expect(closed.list(me)).rejects.toMatchObject({ code: 'forbidden' })
  await expect(closed.rotate({}, me)).rejects.toMatchObject({ code: 'forbidden' })
  await expect(closed.export('long enough passphrase', me)).rejects.toMatchObject({ code: 'forbidden' })
  expect(await rowsOf(store)).toEqual([])
  await closed.close()
  await expect(closed.get(db, me)).rejects.toMatchObject({ code: 'conflict' })
  const open = await openedVault({ store })
  await expect(open.get(db, { actor: ' ', reason: 'x' })).rejects.toMatchObject({ code: 'invalid_input' })
  await expect(open.get(db, { actor: 'x', reason: '' })).rejects.toMatchObject({ code: 'invalid_input' })
})

test('a grant is asked with who, what and why, and may take its time', async () => {
  const asked: unknown[] = []
  const vault = await openedVault({
    store: await openedStore(),
    tenant: 't',
    allow: async (request) => {
      asked.push(request)
      await Promise.resolve()
      return request.action === 'put'
    },
  })
  await vault.put(db, 'x', me)
  await expect(vault.get(db, me)).rejects.toMatchObject({ code: 'forbidden' })
  expect(asked).toEqual([
    { ...db, ...me, tenant: 't', action: 'put' },
    { ...db, ...me, tenant: 't', action: 'get' },
  ])
})

test('a record is answered from memory for a while; own changes are seen at once, those of others after that while', async () => {
  let now = 0
  const file = path.join(await temporaryFolder(), 'state.db')
  const keys = keysOf(newKey())
  const vault = await openedVault({ store: await openedStore(file), keys, freshMs: 1000, now: () => now })
  const other = await openedVault({ store: await openedStore(file), keys })
  await vault.put(db, 'one', me)
  expect(await vault.get(db, me)).toBe('one')
  await vault.put(db, 'two', me)
  expect(await vault.get(db, me)).toBe('two')
  await other.put(db, 'three', me)
  expect(await vault.get(db, me)).toBe('two')
  now = 1000
  expect(await vault.get(db, me)).toBe('three')
})

test('uses of a key are counted over restarts, and a key that is used up is replaced by itself', async () => {
  const file = path.join(await temporaryFolder(), 'state.db')
  const keys = keysOf(newKey())
  for (let round = 0; round < 3; round++) {
    const store = await openedStore(file)
    const vault = await openedVault({ store, keys, maxUses: 250 })
    for (let index = 0; index < 50; index++) await vault.put({ partner: 'p', name: `s${round}-${index}` }, 'v', me)
    const { dataKeys } = await vault.status()
    expect(dataKeys.every(({ uses }) => uses <= 250)).toBe(true)
    expect(dataKeys.reduce((sum, { uses }) => sum + uses, 0)).toBe((round + 1) * 100)
  }
  const vault = await openedVault({ store: await openedStore(file), keys, maxUses: 250 })
  const { dataKeys } = await vault.status()
  expect(dataKeys.map(({ state, uses }) => [state, uses]).sort()).toEqual([
    ['active', 50],
    ['retired', 250],
  ])
  for (const { partner, name } of await vault.list(me)) expect(await vault.get({ partner, name }, me)).toBe('v')
})

test('an audit log that cannot be written stops the access', async () => {
  const vault = await openedVault({
    store: await openedStore(),
    audit: { append: () => Promise.reject(new Error('disk full')) },
  })
  await expect(vault.put(db, 'x', me)).rejects.toThrow('disk full')
  await expect(vault.get(db, me)).rejects.toThrow('disk full')
})

test('a value never shows in what is thrown', async () => {
  const store = await openedStore()
  const audit = memoryAudit()
  const vault = await openedVault({ store, audit })
  await vault.put(db, 'canary-value', me)
  await store.db.updateTable('vault_records').set({ version: 2 }).execute()
  const error: unknown = await vault.get(db, me).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'invalid_data', partner: 'warehouse' })
  expect(JSON.stringify([error, (error as Error).stack, audit.entries])).not.toContain('canary')
})
