import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { fileKeys, openVault } from '../src/index.ts'
import { db, keysOf, me, memoryAudit, newKey, openedStore, openedVault, temporaryFolder } from './support.ts'

test('destroying a key leaves the others alone that stand in one line with it', async () => {
  const file = path.join(await temporaryFolder(), 'vault.key')
  const [old, current] = [newKey(), newKey()]
  await writeFile(file, `${old}\n`, { mode: 0o600 })
  const store = await openedStore()
  const vault = await openedVault({ store, keys: fileKeys(file) })
  await vault.put(db, 'correct horse', me)
  await writeFile(file, `${old},${current}\n`)
  const { keyEncryptionKey } = await vault.rotate({ keyEncryptionKey: true }, me)
  expect(keyEncryptionKey?.made).toBe(false)
  await vault.destroyKey(keyEncryptionKey?.from[0] ?? '', me)
  const left = await readFile(file, 'utf8')
  expect(left).not.toContain(old)
  expect(left).toContain(current)
  const again = await openVault({ store, keys: fileKeys(file), allow: () => true })
  expect(await again.get(db, me)).toBe('correct horse')
  await again.close()
})

test('a clock that was put back makes no value last longer in memory', async () => {
  const store = await openedStore()
  const keys = keysOf(newKey())
  let now = Date.UTC(2026, 0, 2)
  const writer = await openedVault({ store, keys })
  const reader = await openedVault({ store, keys, freshMs: 1_000, now: () => now })
  await writer.put(db, 'old', me)
  expect(await reader.get(db, me)).toBe('old')
  await writer.put(db, 'new', me)
  expect(await reader.get(db, me)).toBe('old')
  now -= 3_600_000
  expect(await reader.get(db, me)).toBe('new')
})

test('a name made of another name and a partner finds nothing in memory', async () => {
  const store = await openedStore()
  const vault = await openedVault({ store, freshMs: 60_000 })
  const owner = { partner: 'a\nb', name: 'password' }
  await vault.put(owner, 'correct horse', me)
  expect(await vault.get(owner, me)).toBe('correct horse')
  await expect(vault.get({ partner: 'b', name: 'password\na' }, me)).rejects.toMatchObject({ code: 'not_found' })
})

test('two actors whose names and reasons read alike are written down apart', async () => {
  const audit = memoryAudit()
  const vault = await openedVault({ store: await openedStore(), audit })
  await vault.put(db, 'correct horse', me)
  await vault.get(db, { actor: 'anna', reason: 'x\ny' })
  await vault.get(db, { actor: 'anna\nx', reason: 'y' })
  expect(audit.entries.filter(({ action }) => action === 'vault.get').map(({ actor }) => actor)).toEqual([
    'anna',
    'anna\nx',
  ])
})

test.each([
  ['null', 'null'],
  ['a number', '7'],
  ['no derivation', JSON.stringify({ derivation: null })],
  [
    'a derivation without its numbers',
    JSON.stringify({ derivation: { name: 'argon2id', salt: 'AAAAAAAAAAAAAAAAAAAAAA==' } }),
  ],
  [
    'a salt that is too short',
    JSON.stringify({ derivation: { name: 'argon2id', memory: 64, passes: 1, parallelism: 1, salt: '' } }),
  ],
  [
    'too little memory',
    JSON.stringify({
      derivation: { name: 'argon2id', memory: 1, passes: 1, parallelism: 4, salt: 'AAAAAAAAAAAAAAAAAAAAAA==' },
    }),
  ],
  [
    'a cost that is no power of two',
    JSON.stringify({ derivation: { name: 'scrypt', cost: 3, blockSize: 8, parallelization: 1, salt: 'AAAA' } }),
  ],
])('an import that is no export is refused in words: %s', async (_, text) => {
  const vault = await openedVault({ store: await openedStore() })
  const made = {
    format: 'ecokit-vault-export',
    version: 1,
    cipher: 'aes-256-gcm',
    nonce: 'AAAAAAAAAAAAAAAA',
    data: 'A'.repeat(44),
  }
  const given = JSON.parse(text) as unknown
  const document = typeof given === 'object' && given !== null ? JSON.stringify({ ...made, ...given }) : text
  await expect(vault.import(document, 'a long passphrase', me)).rejects.toMatchObject({ code: 'invalid_input' })
})
