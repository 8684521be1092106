import crypto from 'node:crypto'
import { expect, test } from 'vitest'
import { memoryShared } from '@ecokit/http'
import { openExport, sealExport } from '../src/transfer.ts'
import { db, me, openedStore, openedVault } from './support.ts'

const passphrase = 'a long enough passphrase'

test('an export goes into another vault with all its versions, the active one active', async () => {
  const from = await openedVault({ store: await openedStore(), now: () => 9 })
  await from.put(db, 'one', me)
  await from.put(db, 'two', me)
  await from.put(db, 'three', me, { stage: true })
  await from.put({ partner: '*', name: 'api' }, 'four', me)
  await from.tokens(memoryShared()).put('tokens/p/x', 'a token')
  const document = await from.export(passphrase, me)
  for (const value of ['one', 'two', 'three', 'four', 'warehouse', 'a token'])
    expect(document).not.toContain(`"${value}`)
  const to = await openedVault({ store: await openedStore() })
  expect(await to.import(document, passphrase, me)).toBe(2)
  expect(await to.list(me)).toEqual(await from.list(me))
  for (const [version, value] of ['one', 'two', 'three'].entries())
    expect(await to.get(db, me, { version: version + 1 })).toBe(value)
  expect(await to.get(db, me)).toBe('two')
  expect((await to.status()).tokens).toBe(0)
})

test('nothing is overwritten unless that is said, and then the old versions stay', async () => {
  const from = await openedVault({ store: await openedStore() })
  await from.put(db, 'new', me)
  await from.put({ partner: 'a', name: 'first' }, 'x', me)
  const document = await from.export(passphrase, me)
  const to = await openedVault({ store: await openedStore() })
  await to.put(db, 'old', me)
  await expect(to.import(document, passphrase, me)).rejects.toMatchObject({ code: 'conflict', partner: 'warehouse' })
  expect((await to.list(me)).map(({ name }) => name)).toEqual(['db-password'])
  await to.import(document, passphrase, me, { overwrite: true })
  expect([await to.get(db, me), await to.get(db, me, { version: 1 })]).toEqual(['new', 'old'])
})

test(
  'another passphrase, or a change of any part, opens nothing and imports nothing',
  { timeout: 120_000 },
  async () => {
    const from = await openedVault({ store: await openedStore() })
    await from.put(db, 'value', me)
    const document = await from.export(passphrase, me)
    const to = await openedVault({ store: await openedStore() })
    await expect(to.import(document, `${passphrase}!`, me)).rejects.toMatchObject({
      code: 'invalid_credentials',
      message: expect.stringContaining('the passphrase is another one') as string,
    })
    const read = JSON.parse(document) as { data: string; nonce: string; derivation: Record<string, unknown> }
    const flip = (text: string): string => {
      const bytes = Buffer.from(text, 'base64')
      bytes[0] = (bytes[0] ?? 0) ^ 1
      return bytes.toString('base64')
    }
    const changes: readonly [object, string][] = [
      [{ data: flip(read.data) }, 'invalid_credentials'],
      [{ data: '' }, 'invalid_input'],
      [{ nonce: '' }, 'invalid_input'],
      [{ nonce: flip(read.nonce) }, 'invalid_credentials'],
      [{ derivation: { ...read.derivation, passes: 1, cost: 2 } }, 'invalid_credentials'],
      [{ derivation: { ...read.derivation, memory: 2 ** 30, cost: 2 ** 30 } }, 'invalid_input'],
      [{ derivation: { ...read.derivation, name: 'md5' } }, 'invalid_input'],
      [{ format: 'other' }, 'invalid_input'],
      [{ version: 2 }, 'unsupported'],
      [{ cipher: 'none' }, 'invalid_input'],
    ]
    for (const [change, code] of changes)
      await expect(to.import(JSON.stringify({ ...read, ...change }), passphrase, me)).rejects.toMatchObject({ code })
    await expect(to.import('not json', passphrase, me)).rejects.toMatchObject({ code: 'invalid_input' })
    await expect(to.export('short', me)).rejects.toMatchObject({ code: 'invalid_input' })
    expect(await to.list(me)).toEqual([])
  },
)

test('both derivations open, and the same letters are the same passphrase', async () => {
  const carried = [{ ...db, active: true, createdAt: 1, value: 'v' }]
  for (const derivation of 'argon2' in crypto ? (['argon2id', 'scrypt'] as const) : (['scrypt'] as const)) {
    const document = await sealExport(carried, 'passe-partout é', derivation)
    expect((JSON.parse(document) as { derivation: { name: string } }).derivation.name).toBe(derivation)
    expect(await openExport(document, 'passe-partout e\u0301')).toEqual(carried)
  }
})
