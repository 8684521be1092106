import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { memoryShared } from '@ecokit/http'
import { expect, test } from 'vitest'
import { fileKeys, makeKeyFile, openVault, type RotateProgress } from '../src/index.ts'
import { db, keysOf, me, memoryAudit, newKey, openedStore, openedVault, rowsOf, temporaryFolder } from './support.ts'

const name = (index: number) => ({ partner: `p${index % 3}`, name: `s${index}` })

test('rotation moves everything to new keys, old versions and tokens too; the old keys are destroyed and everything opens', async () => {
  const folder = await temporaryFolder()
  const file = path.join(folder, 'vault.key')
  const oldKek = await makeKeyFile(file)
  const store = await openedStore(path.join(folder, 'state.db'))
  const vault = await openedVault({ store, keys: fileKeys(file) })
  for (let index = 0; index < 130; index++) await vault.put(name(index), `v${index}`, me)
  for (let index = 0; index < 30; index++) await vault.put(name(index), `w${index}`, me)
  const tokens = vault.tokens(memoryShared())
  await tokens.put('tokens/p1/x', 'a token')
  await tokens.put('tokens/p2/gone', 'a token')
  await tokens.delete('tokens/p2/gone')
  const oldKey = (await vault.status()).dataKeys[0]?.id ?? ''
  await expect(vault.destroyKey(oldKey, me)).rejects.toMatchObject({ code: 'conflict' })
  await expect(vault.destroyKey(oldKek, me)).rejects.toMatchObject({ code: 'conflict' })

  const steps: RotateProgress[] = []
  const rotated = await vault.rotate({ onProgress: (step) => steps.push(step) }, me)
  const { dataKeys, keyEncryptionKey } = await vault.status()
  expect(rotated).toEqual({
    keyEncryptionKey: { to: keyEncryptionKey.current, made: true, rewrapped: 1, from: [oldKek] },
    dataKeys: { to: dataKeys[0]?.id, resumed: false, moved: 161, from: [oldKey], unreadable: [] },
  })
  expect(steps[0]).toEqual({ step: 'key_encryption_key', done: 1, total: 1 })
  expect(steps.at(-1)).toEqual({ step: 'data_keys', done: 161, total: 161 })
  expect(dataKeys.map(({ state, records }) => [state, records])).toEqual([
    ['active', 161],
    ['retired', 0],
  ])

  await vault.destroyKey(oldKey, me)
  await vault.destroyKey(oldKek, me)
  const after = await openedVault({ store, keys: fileKeys(file) })
  for (let index = 0; index < 130; index++) {
    expect(await after.get(name(index), me)).toBe(index < 30 ? `w${index}` : `v${index}`)
    expect(await after.get(name(index), me, { version: 1 })).toBe(`v${index}`)
  }
  expect(await after.tokens(memoryShared()).get('tokens/p1/x')).toEqual({ value: 'a token', version: 1 })
  const gone = (await after.status()).dataKeys.find(({ id }) => id === oldKey)
  expect(gone).toMatchObject({ state: 'destroyed', records: 0 })
})

test('one of the two keys alone, and keys that somebody else makes', async () => {
  const store = await openedStore()
  const [one, two] = [newKey(), newKey()]
  const before = await openedVault({ store, keys: keysOf(one) })
  await before.put(db, 'value', me)
  const same = await before.rotate({ keyEncryptionKey: true }, me)
  expect(same).toEqual({
    keyEncryptionKey: { to: await keysOf(one).current(), made: false, rewrapped: 0, from: [] },
  })
  const both = await openedVault({ store, keys: keysOf(one, two) })
  const rotated = await both.rotate({ keyEncryptionKey: true }, me)
  const oldKek = await keysOf(one).current()
  expect(rotated.keyEncryptionKey).toMatchObject({ made: false, rewrapped: 1, from: [oldKek] })
  await expect(both.destroyKey(oldKek, me)).rejects.toMatchObject({ code: 'unsupported' })
  const after = await openedVault({ store, keys: keysOf(two) })
  expect(await after.get(db, me)).toBe('value')
  expect(await after.rotate({ dataKeys: true }, me)).not.toHaveProperty('keyEncryptionKey')
  expect(await after.get(db, me)).toBe('value')
})

test('an interrupted rotation is brought to its end by the next call', async () => {
  const store = await openedStore()
  const vault = await openedVault({ store })
  for (let index = 0; index < 600; index++) await vault.put(name(index), `v${index}`, me)
  const stop = new AbortController()
  const onProgress = (): void => stop.abort()
  await expect(vault.rotate({ dataKeys: true, signal: stop.signal, onProgress }, me)).rejects.toMatchObject({
    name: 'AbortError',
  })
  expect((await vault.status()).dataKeys.map(({ state, records }) => [state, records])).toEqual([
    ['active', 250],
    ['retired', 350],
  ])
  const second = await vault.rotate({ dataKeys: true }, me)
  expect(second.dataKeys).toMatchObject({ resumed: true, moved: 350 })
  const third = await vault.rotate({ dataKeys: true }, me)
  expect(third.dataKeys).toMatchObject({ resumed: false, moved: 600 })
  expect(third.dataKeys?.from).toHaveLength(2)
  for (let index = 0; index < 600; index++) expect(await vault.get(name(index), me)).toBe(`v${index}`)
})

test('rotations at once end with everything on one key', async () => {
  const file = path.join(await temporaryFolder(), 'state.db')
  const keys = keysOf(newKey())
  const vaults = await Promise.all([1, 2, 3].map(async () => openedVault({ store: await openedStore(file), keys })))
  const [vault] = vaults
  for (let index = 0; index < 600; index++) await vault?.put(name(index), `v${index}`, me)
  await Promise.all(vaults.map((one) => one.rotate({ dataKeys: true }, me)))
  const states = (await vault?.status())?.dataKeys.map(({ state, records }) => [state, records])
  expect(states?.filter(([, records]) => records !== 0)).toEqual([['active', 600]])
  for (let index = 0; index < 600; index++) expect(await vault?.get(name(index), me)).toBe(`v${index}`)
})

test('a damaged record stops nothing: it is named, it keeps its key, and the next rotation makes a new one all the same', async () => {
  const store = await openedStore()
  const vault = await openedVault({ store })
  for (let index = 0; index < 5; index++) await vault.put(name(index), `v${index}`, me)
  const [, row] = await rowsOf(store)
  const envelope = Buffer.from(row?.envelope ?? [])
  envelope[40] = (envelope[40] ?? 0) ^ 1
  await store.db.updateTable('vault_records').set({ envelope }).where('name', '=', 's1').execute()
  const first = await vault.rotate({ dataKeys: true }, me)
  const unreadable = [{ ...name(1), version: 1, kind: 'secret' }]
  expect(first.dataKeys).toMatchObject({ moved: 4, from: [], unreadable })
  await expect(vault.destroyKey(row?.key_id ?? '', me)).rejects.toMatchObject({ code: 'conflict' })
  const second = await vault.rotate({ dataKeys: true }, me)
  expect(second.dataKeys).toMatchObject({ resumed: false, moved: 4, from: [first.dataKeys?.to], unreadable })
  expect(await vault.get(name(0), me)).toBe('v0')
  await expect(vault.get(name(1), me)).rejects.toMatchObject({ code: 'invalid_data' })
  await vault.put(name(1), 'new', me)
  expect(await vault.get(name(1), me)).toBe('new')
  await vault.remove(name(1), me, { version: 1 })
  await vault.destroyKey(row?.key_id ?? '', me)
})

test('a record that names a key that is not there can still be set anew', async () => {
  const store = await openedStore()
  const vault = await openedVault({ store })
  await vault.put(db, 'old', me)
  const [row] = await rowsOf(store)
  const envelope = Buffer.concat([Buffer.from(row?.envelope ?? [])])
  const lost = randomBytes(16)
  envelope.set(lost, 2)
  await store.db
    .updateTable('vault_records')
    .set({ envelope, key_id: lost.toString('hex') })
    .execute()
  await expect(vault.get(db, me)).rejects.toMatchObject({ code: 'invalid_data' })
  expect(await vault.put(db, 'new', me)).toBe(2)
  expect(await vault.get(db, me)).toBe('new')
})

test('a writer that has the old key in memory neither writes with it after it was retired nor after it was destroyed', async () => {
  const file = path.join(await temporaryFolder(), 'state.db')
  const keys = keysOf(newKey())
  const writer = await openedVault({ store: await openedStore(file), keys })
  const keeper = await openedVault({ store: await openedStore(file), keys })
  await writer.put(db, 'one', me)
  const { dataKeys } = await keeper.rotate({ dataKeys: true }, me)
  const [old] = dataKeys?.from ?? []
  await keeper.destroyKey(old ?? '', me)
  await writer.put(db, 'two', me)
  expect(await keeper.get(db, me)).toBe('two')
  expect(await keeper.get(db, me, { version: 1 })).toBe('one')
  const rows = await rowsOf(await openedStore(file))
  expect(rows.map(({ key_id }) => key_id)).toEqual([dataKeys?.to, dataKeys?.to])
})

test('a key of another tenant is not destroyed by this one, and a key-encryption key only when no tenant needs it', async () => {
  const file = path.join(await temporaryFolder(), 'vault.key')
  const oldKek = await makeKeyFile(file)
  const store = await openedStore()
  const one = await openedVault({ store, keys: fileKeys(file), tenant: 'one' })
  const two = await openedVault({ store, keys: fileKeys(file), tenant: 'two' })
  await one.put(db, 'a', me)
  await two.put(db, 'b', me)
  await two.rotate({ keyEncryptionKey: true }, me)
  await expect(one.destroyKey(oldKek, me)).rejects.toMatchObject({ code: 'conflict' })
  const { keyEncryptionKey } = await one.rotate({ keyEncryptionKey: true }, me)
  expect(keyEncryptionKey).toMatchObject({ made: false, rewrapped: 1 })
  await one.destroyKey(oldKek, me)
  const again = await openVault({ store, keys: fileKeys(file), tenant: 'two', allow: () => true })
  expect(await again.get(db, me)).toBe('b')
  await again.close()
  await expect(one.destroyKey('kek-nothing', me)).rejects.toMatchObject({ code: 'not_found' })
  const twosKey = (await two.rotate({ dataKeys: true }, me)).dataKeys?.from[0] ?? ''
  await expect(one.destroyKey(twosKey, me)).rejects.toMatchObject({ code: 'not_found' })
})

test('who rotated and who destroyed a key stands in the log, and that it was refused', async () => {
  const audit = memoryAudit()
  const vault = await openedVault({ store: await openedStore(), audit })
  await vault.put(db, 'x', me)
  const key = (await vault.status()).dataKeys[0]?.id ?? ''
  await vault.rotate({ dataKeys: true }, me)
  await expect(vault.destroyKey('active?', me)).rejects.toMatchObject({ code: 'unsupported' })
  await vault.destroyKey(key, me)
  expect(audit.entries.slice(1).map(({ action, outcome, details }) => [action, outcome, details])).toEqual([
    ['vault.rotate', 'allowed', { keyEncryptionKey: false, dataKeys: true }],
    ['vault.destroyKey', 'allowed', { keyId: 'active?' }],
    ['vault.destroyKey', 'failed', { keyId: 'active?', code: 'unsupported' }],
    ['vault.destroyKey', 'allowed', { keyId: key }],
  ])
})
