import { appendFile, chmod, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { environmentKeys, fileKeys, type KeyProvider, makeKeyFile, mountedKeys, openVault } from '../src/index.ts'
import { db, keysOf, me, newKey, openedStore, openedVault, temporaryFolder } from './support.ts'

const aad = Buffer.from('here')
const dataKey = (): Buffer => randomBytes(32)

/** What every provider does, wherever its keys are. */
const behaves = async (provider: KeyProvider): Promise<void> => {
  const key = dataKey()
  const { keyId, wrapped } = await provider.wrap(key, aad)
  expect(keyId).toBe(await provider.current())
  expect(keyId).toMatch(/^kek-[0-9a-f]{16}$/)
  expect(Buffer.from(await provider.unwrap(keyId, wrapped, aad))).toEqual(key)
  expect(Buffer.from(wrapped).includes(key)).toBe(false)
  for (let bit = 0; bit < wrapped.length * 8; bit++) {
    const changed = Buffer.from(wrapped)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    await expect(provider.unwrap(keyId, changed, aad)).rejects.toMatchObject({ code: 'invalid_config' })
  }
  await expect(provider.unwrap(keyId, wrapped.subarray(1), aad)).rejects.toMatchObject({ code: 'invalid_config' })
  await expect(provider.unwrap(keyId, wrapped, Buffer.from('there'))).rejects.toMatchObject({ code: 'invalid_config' })
  await expect(provider.unwrap('kek-0000000000000000', wrapped, aad)).rejects.toMatchObject({ code: 'invalid_config' })
}

test('a key file is made once, closed to others, and wraps', async () => {
  const folder = path.join(await temporaryFolder(), 'missing', 'folder')
  const file = path.join(folder, 'vault.key')
  const id = await makeKeyFile(file)
  const provider = fileKeys(file)
  expect(await provider.current()).toBe(id)
  await behaves(provider)
  expect((await stat(file)).mode & 0o777).toBe(process.platform === 'win32' ? 0o666 : 0o600)
  const before = await readFile(file, 'utf8')
  await expect(makeKeyFile(file)).rejects.toMatchObject({ code: 'conflict' })
  expect(await readFile(file, 'utf8')).toBe(before)
  expect(await readdir(folder)).toEqual(['vault.key'])
})

test.skipIf(process.platform === 'win32')('a key file that others may read or write is refused', async () => {
  const file = path.join(await temporaryFolder(), 'vault.key')
  await makeKeyFile(file)
  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o666, 0o644]) {
    await chmod(file, mode)
    await expect(fileKeys(file).current()).rejects.toMatchObject({
      code: 'invalid_config',
      message: expect.stringContaining(`chmod 600 ${file}`) as string,
    })
  }
  await chmod(file, 0o600)
  await fileKeys(file).current()
})

test('no key: it refuses to start and says how to make one', async () => {
  const store = await openedStore()
  const file = path.join(await temporaryFolder(), 'vault.key')
  const message = async (keys: KeyProvider): Promise<string> => {
    const error: unknown = await openVault({ store, keys }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'invalid_config', details: { field: 'vault.key' } })
    return (error as Error).message
  }
  expect(await message(fileKeys(file))).toContain('ecokit init')
  expect(await message(mountedKeys(file))).toContain('openssl rand -base64 32')
  expect(await message(environmentKeys('ECOKIT_KEY', {}))).toContain('export ECOKIT_KEY=$(openssl rand -base64 32)')
  expect(await message(environmentKeys('ECOKIT_KEY', { ECOKIT_KEY: ' ' }))).toContain('is not set')
  const bad = [
    'short',
    'a'.repeat(44),
    Buffer.alloc(32).toString('base64'),
    Buffer.alloc(16, 'xyzuvw').toString('base64'),
  ]
  for (const value of bad) {
    const said = await message(environmentKeys('ECOKIT_KEY', { ECOKIT_KEY: value }))
    expect(said).toContain('32 random bytes in base64')
    expect(said).not.toContain(value)
  }
})

test('another key than the right one: refused with the id of the one that is needed, and nothing is changed or lost', async () => {
  const store = await openedStore()
  const right = newKey()
  const vault = await openedVault({ store, keys: keysOf(right) })
  await vault.put(db, 'value', me)
  const before = await store.db.selectFrom('vault_keys').selectAll().execute()
  const wrong = openVault({ store, keys: keysOf(newKey()), allow: () => true })
  await expect(wrong).rejects.toMatchObject({ code: 'invalid_config' })
  await expect(wrong).rejects.toThrow(`the vault needs the key ${await keysOf(right).current()}`)
  expect(await store.db.selectFrom('vault_keys').selectAll().execute()).toEqual(before)
  const again = await openedVault({ store, keys: keysOf(right) })
  expect(await again.get(db, me)).toBe('value')
})

test('a vault that is open already does not make keys beside those that it cannot open', async () => {
  const store = await openedStore()
  const first = keysOf(newKey())
  const late = await openedVault({ store, keys: keysOf(newKey()) })
  const vault = await openedVault({ store, keys: first })
  await vault.put(db, 'value', me)
  await expect(late.put(db, 'other', me)).rejects.toMatchObject({ code: 'invalid_config' })
  await expect(late.get(db, me)).rejects.toMatchObject({ code: 'invalid_config' })
  expect(await vault.get(db, me)).toBe('value')
  expect((await vault.status()).dataKeys).toHaveLength(1)
})

test('several keys side by side: the last is current, all unwrap', async () => {
  const [one, two] = [newKey(), newKey()]
  const { keyId, wrapped } = await keysOf(one).wrap(dataKey(), aad)
  const both = keysOf(one, two)
  await behaves(both)
  expect(await both.current()).toBe(await keysOf(two).current())
  await both.unwrap(keyId, wrapped, aad)
  expect(await keysOf(two, one).current()).toBe(keyId)
})

test('a mounted file is read again when it changes, as Kubernetes changes it: by another link', async () => {
  const folder = await temporaryFolder()
  const [one, two] = [newKey(), newKey()]
  await writeFile(path.join(folder, 'v1'), `${one}\n`)
  await writeFile(path.join(folder, 'v2'), `${one}\n${two}\n`)
  const file = path.join(folder, 'key')
  await symlink('v1', file)
  const provider = mountedKeys(file)
  const before = await provider.wrap(dataKey(), aad)
  await symlink('v2', `${file}.next`)
  await rename(`${file}.next`, file)
  expect(await provider.current()).toBe(await keysOf(two).current())
  await provider.unwrap(before.keyId, before.wrapped, aad)
  await behaves(provider)
})

test('a key that another process added is found when it is needed', async () => {
  const file = path.join(await temporaryFolder(), 'vault.key')
  const first = await makeKeyFile(file)
  const [one, other] = [fileKeys(file), fileKeys(file)]
  expect(await one.current()).toBe(first)
  await Promise.all([other.add?.(), one.add?.(), other.add?.()])
  const { keyId, wrapped } = await other.wrap(dataKey(), aad)
  expect(keyId).not.toBe(first)
  await one.unwrap(keyId, wrapped, aad)
  expect(await one.current()).toBe(keyId)
  expect((await readFile(file, 'utf8')).match(/ecokit-key-1/g)).toHaveLength(4)
})

test('a line that a kill has torn harms neither the keys before it nor the next one', async () => {
  const file = path.join(await temporaryFolder(), 'vault.key')
  const first = await makeKeyFile(file)
  const whole = await readFile(file, 'utf8')
  await appendFile(file, (whole.split('\n').at(-2) ?? '').slice(0, 50))
  const provider = fileKeys(file)
  expect(await provider.current()).toBe(first)
  const second = await provider.add?.()
  expect(await provider.current()).toBe(second)
  await expect(provider.unwrap('kek-0000000000000000', new Uint8Array(61), aad)).rejects.toThrow(/line \d is damaged/)
})

test('a destroyed key is gone from the file, the others are where they were', async () => {
  const file = path.join(await temporaryFolder(), 'vault.key')
  const first = await makeKeyFile(file)
  const provider = fileKeys(file)
  const { wrapped } = await provider.wrap(dataKey(), aad)
  const second = await provider.add?.()
  const size = (await stat(file)).size
  const secret = /ecokit-key-1 \S+ \S+ (\S+)/.exec(await readFile(file, 'utf8'))?.[1] ?? ''
  await provider.destroy?.(first)
  const text = await readFile(file, 'utf8')
  expect([text.includes(secret), secret.length, text.length]).toEqual([false, 44, size])
  const fresh = fileKeys(file)
  expect(await fresh.current()).toBe(second)
  await expect(fresh.unwrap(first, wrapped, aad)).rejects.toMatchObject({ code: 'invalid_config' })
  await expect(provider.unwrap(first, wrapped, aad)).rejects.toMatchObject({ code: 'invalid_config' })
})
