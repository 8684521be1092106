import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { memoryShared } from '@ecokit/http'
import { isIntegrationError, type Shared } from '@ecokit/contracts'
import type { Row, Store } from '@ecokit/store'
import { expect, test } from 'vitest'
import { handOverCounts } from '../../../../tools/proofs/counts.ts'
import { openVault, type Vault } from '../src/index.ts'
import { keysOf, me, newKey, openedStore, openedVault, randomOf } from './support.ts'

const count = Number(process.env['ECOKIT_VAULT'] ?? 5_000)
const seed = Number(process.env['ECOKIT_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

type Sealed = Row<'vault_records'>
/** How a row is read by those who use the vault: the active version of a secret by its name alone. */
type Read = (row: Sealed) => Promise<string | undefined>

interface World {
  readonly store: Store
  readonly rows: readonly Sealed[]
  /** Envelopes that stood in a row when its token had another version, or its secret's version another state; by the row. */
  readonly older: ReadonlyMap<Sealed, readonly Uint8Array[]>
  readonly keyIds: readonly string[]
  readonly read: Read
}

const rowsIn = (store: Store): Promise<Sealed[]> =>
  store.db
    .selectFrom('vault_records')
    .selectAll()
    .where('envelope', 'is not', null)
    .orderBy('tenant')
    .orderBy('kind')
    .orderBy('partner')
    .orderBy('name')
    .orderBy('version')
    .execute()
const remove = async ({ db }: Store, row: Sealed): Promise<void> => {
  await db
    .deleteFrom('vault_records')
    .where('tenant', '=', row.tenant)
    .where('kind', '=', row.kind)
    .where('partner', '=', row.partner)
    .where('name', '=', row.name)
    .where('version', '=', row.version)
    .execute()
}
const add = async ({ db }: Store, row: Sealed): Promise<void> => {
  await db.insertInto('vault_records').values(row).execute()
}

/** Secrets with several versions and tokens, of two tenants, under two data keys each. */
const build = async (size: number): Promise<World> => {
  const store = await openedStore()
  const keys = keysOf(newKey())
  const vaults: Readonly<Record<string, Vault>> = {
    a: await openedVault({ store, keys, tenant: 'a' }),
    b: await openedVault({ store, keys, tenant: 'b' }),
  }
  const tokens: Record<string, Shared> = {}
  const history = new Map<string, Sealed[]>()
  const idOf = ({ tenant, kind, partner, name, version }: Sealed, exact: boolean): string =>
    JSON.stringify([tenant, kind, partner, name, exact ? version : ''])
  const remember = async (): Promise<void> => {
    for (const row of await rowsIn(store))
      // A token is one row whose version changes.
      history.set(idOf(row, row.kind === 'secret'), [...(history.get(idOf(row, row.kind === 'secret')) ?? []), row])
  }
  for (const [tenant, vault] of Object.entries(vaults)) {
    const shared = (tokens[tenant] = vault.tokens(memoryShared()))
    for (let index = 0; index < size / 8; index++) {
      const name = { partner: index % 3 === 0 ? '*' : `p${index % 5}`, name: `s${index}` }
      await vault.put(name, `${index} ${'x'.repeat(index % 60)}`, me)
      await vault.put(name, `second ${index}`, me)
      await shared.put(`tokens/p${index % 5}/${index}`, `token ${index}`, { expiresAt: 1e15 })
    }
    await remember()
    await vault.rotate({ dataKeys: true }, me)
    await remember()
    for (let index = 0; index < size / 8; index++) {
      const name = { partner: index % 3 === 0 ? '*' : `p${index % 5}`, name: `s${index}` }
      if (index % 4 === 0) await vault.activate(name, 1, me)
      await vault.put(name, `third ${index}`, me, { stage: index % 2 === 0 })
      await shared.put(`tokens/p${index % 5}/${index}`, `token again ${index}`, { expiresAt: 2e15 })
    }
  }
  const rows = await rowsIn(store)
  const older = new Map(
    rows.map((row) => [
      row,
      (history.get(idOf(row, row.kind === 'secret')) ?? [])
        .filter((before) => before.version !== row.version || before.active !== row.active)
        .map(({ envelope }) => envelope ?? new Uint8Array()),
    ]),
  )
  const read: Read = async ({ tenant, kind, partner, name, version, active }) =>
    kind === 'token'
      ? (await tokens[tenant]?.get(name))?.value
      : vaults[tenant]?.get({ partner, name }, me, active === 1 ? {} : { version })
  return { store, rows, older, keyIds: [...new Set(rows.map(({ key_id }) => key_id))], read }
}

type Tamper = (row: Sealed, world: World, random: () => number) => Partial<Sealed>
const pick = <T>(list: readonly T[], random: () => number): T => list[Math.floor(random() * list.length)] as T
const bytesOf = (row: Sealed): Buffer => Buffer.from(row.envelope ?? [])
const flip =
  (from: number, to: number): Tamper =>
  (row, _, random) => {
    const envelope = bytesOf(row)
    const [start, end] = [from < 0 ? envelope.length + from : from, to <= 0 ? envelope.length + to : to]
    const bit = start * 8 + Math.floor(random() * (end - start) * 8)
    envelope[bit >> 3] = (envelope[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    return { envelope }
  }
const otherKey: Tamper = (row, { keyIds }, random) => ({
  key_id: pick(
    keyIds.filter((id) => id !== row.key_id),
    random,
  ),
})
const tampers: Readonly<Record<string, Tamper>> = {
  'format and cipher, one bit': flip(0, 2),
  'key id, one bit': flip(2, 18),
  'nonce, one bit': flip(18, 30),
  'ciphertext, one bit': flip(30, -16),
  'tag, one bit': flip(-16, 0),
  'key id column': otherKey,
  'key id, column and envelope': (row, world, random) => {
    const { key_id = '' } = otherKey(row, world, random)
    const envelope = bytesOf(row)
    envelope.set(Buffer.from(key_id, 'hex'), 2)
    return { key_id, envelope }
  },
  'key id that never was': (row) => {
    const envelope = bytesOf(row)
    const id = randomBytes(16)
    envelope.set(id, 2)
    return { key_id: id.toString('hex'), envelope }
  },
  tenant: ({ tenant }) => ({ tenant: tenant === 'a' ? 'b' : 'a' }),
  // Where it is looked for: a token's key names its partner.
  kind: ({ kind, partner }) => (kind === 'token' ? { kind: 'secret' } : partner === '*' ? { kind: 'token' } : {}),
  partner: ({ kind, partner, name }, _, random) =>
    kind === 'token'
      ? { partner: 'p9', name: name.replace(/\/p\d\//, '/p9/') }
      : { partner: partner === '*' ? 'p9' : pick(['*', 'p8'], random) },
  name: ({ name }) => ({ name: `${name}x` }),
  version: ({ version }, _, random) => ({ version: version + 1 + Math.floor(random() * 1000) }),
  active: ({ active }) => ({ active: 1 - active }),
  created: ({ created_at }, _, random) => ({ created_at: created_at + pick([-1, 1], random) }),
  expiry: ({ expires_at }) => ({ expires_at: expires_at === null ? 1e15 : null }),
  'cut at the end': (row, _, random) => ({
    envelope: bytesOf(row).subarray(0, Math.floor(random() * bytesOf(row).length)),
  }),
  'cut at the beginning': (row, _, random) => ({
    envelope: bytesOf(row).subarray(1 + Math.floor(random() * (bytesOf(row).length - 1))),
  }),
  longer: (row, _, random) => ({
    envelope: Buffer.concat([bytesOf(row), randomBytes(1 + Math.floor(random() * 16))]),
  }),
  'rolled back to an older envelope': (row, { older }, random) => {
    const known = older.get(row) ?? []
    if (known.length === 0) return {}
    const envelope = Buffer.from(pick(known, random))
    return { envelope, key_id: envelope.toString('hex', 2, 18) }
  },
  'envelope of another version': (row, { rows }, random) => {
    const others = rows.filter(
      (one) => one.tenant === row.tenant && one.name === row.name && one.kind === row.kind && one !== row,
    )
    if (others.length === 0) return {}
    const { envelope, key_id } = pick(others, random)
    return { envelope, key_id }
  },
}

/** Refused means: the read throws `invalid_data`, which says that there is a record and it does not open. */
const isRefused = async (read: () => Promise<string | undefined>): Promise<boolean> => {
  try {
    await read()
    return false
  } catch (error) {
    if (isIntegrationError(error, 'invalid_data')) return true
    throw error
  }
}

test(`${count} tampered records of every kind are refused`, { timeout: 3_600_000 }, async () => {
  const random = randomOf(seed)
  const world = await build(64)
  const { store, rows, read } = world
  for (const row of rows) expect(await read(row)).toEqual(expect.any(String))
  const tried: Record<string, number> = {}
  const accepted: string[] = []
  const kinds = Object.entries(tampers)
  for (let done = 0; done < count;) {
    const row = pick(rows, random)
    const [kind, tamper] = kinds[done % kinds.length] ?? ['', () => ({})]
    // Of the versions of a secret only one may be active: the other steps aside, as an attacker would do it.
    const change = tamper(row, world, random)
    if (Object.keys(change).length === 0 || (kind === 'active' && row.kind === 'token')) continue
    const changed = { ...row, ...change }
    const aside = rows.filter(
      (one) =>
        one !== row &&
        changed.active === 1 &&
        one.active === 1 &&
        [one.tenant, one.kind, one.partner, one.name].join() ===
          [changed.tenant, changed.kind, changed.partner, changed.name].join(),
    )
    const inTheWay = rows.filter(
      (one) =>
        one !== row &&
        [one.tenant, one.kind, one.partner, one.name, one.version].join() ===
          [changed.tenant, changed.kind, changed.partner, changed.name, changed.version].join(),
    )
    const others = [...new Set([...aside, ...inTheWay])]
    for (const one of [row, ...others]) await remove(store, one)
    await add(store, changed)
    if (!(await isRefused(() => read(changed)))) accepted.push(`${kind}: ${JSON.stringify({ ...row, envelope: '' })}`)
    await remove(store, changed)
    for (const one of [row, ...others]) await add(store, one)
    tried[kind] = (tried[kind] ?? 0) + 1
    done += 1
    if (done % 50 === 0 && (await read(row)) === undefined) accepted.push(`${kind}: not put back`)
  }
  expect(accepted).toEqual([])
  expect(Object.keys(tried).sort()).toEqual(Object.keys(tampers).sort())
  expect((await rowsIn(store)).map(({ name }) => name)).toEqual(rows.map(({ name }) => name))
  handOverCounts({ tampers: { tried: count, accepted: accepted.length, byKind: tried } })
})

/** Puts every row's envelope into every other row, and counts where that is taken for the row's own. */
const swaps = async (
  store: Store,
  rows: readonly Sealed[],
  read: Read,
): Promise<{ readonly tried: number; readonly accepted: number }> => {
  let tried = 0
  let accepted = 0
  const set = async (row: Sealed, { envelope, key_id }: Pick<Sealed, 'envelope' | 'key_id'>): Promise<void> => {
    await store.db
      .updateTable('vault_records')
      .set({ envelope, key_id })
      .where('tenant', '=', row.tenant)
      .where('kind', '=', row.kind)
      .where('partner', '=', row.partner)
      .where('name', '=', row.name)
      .where('version', '=', row.version)
      .execute()
  }
  for (const row of rows) {
    for (const other of rows) {
      if (other === row) continue
      await set(row, other)
      tried += 1
      if (!(await isRefused(() => read(row)))) accepted += 1
    }
    await set(row, row)
  }
  return { tried, accepted }
}

test('every envelope in the place of every other is refused', { timeout: 3_600_000 }, async () => {
  const { store, rows, read } = await build(Math.ceil(Math.sqrt(count)))
  expect(rows.length * (rows.length - 1)).toBeGreaterThanOrEqual(count * 0.9)
  const found = await swaps(store, rows, read)
  expect(found).toEqual({ tried: rows.length * (rows.length - 1), accepted: 0 })
  for (const row of rows) expect(await read(row)).toEqual(expect.any(String))
  handOverCounts({ swaps: { records: rows.length, ...found } })
})

test('control: a vault that binds nothing to its envelopes takes swaps, and this harness sees it', async () => {
  const store = await openedStore()
  const key = randomBytes(32)
  for (let index = 0; index < 12; index++) {
    const nonce = randomBytes(12)
    const encrypting = createCipheriv('aes-256-gcm', key, nonce)
    const sealed = [nonce, encrypting.update(`value ${index}`), encrypting.final(), encrypting.getAuthTag()]
    const place = { tenant: 'a', kind: 'secret' as const, partner: '*', name: `s${index}`, version: 1, active: 1 }
    await add(store, { ...place, key_id: 'k', envelope: Buffer.concat(sealed), created_at: 1, expires_at: null })
  }
  const naive: Read = async ({ name }) => {
    const row = await store.db.selectFrom('vault_records').selectAll().where('name', '=', name).executeTakeFirst()
    const envelope = Buffer.from(row?.envelope ?? [])
    const decrypting = createDecipheriv('aes-256-gcm', key, envelope.subarray(0, 12))
    decrypting.setAuthTag(envelope.subarray(-16))
    return `${decrypting.update(envelope.subarray(12, -16)).toString()}${decrypting.final().toString()}`
  }
  const found = await swaps(store, await rowsIn(store), naive)
  expect(found).toEqual({ tried: 132, accepted: 132 })
  handOverCounts({ controlWithoutBinding: found })
})

test('a wrapped data key that was changed or exchanged opens nothing', async () => {
  const random = randomOf(seed)
  const store = await openedStore()
  const keys = keysOf(newKey())
  for (const tenant of ['a', 'b'])
    await (await openedVault({ store, keys, tenant })).put({ partner: '*', name: 's' }, 'v', me)
  const rows = await store.db.selectFrom('vault_keys').selectAll().orderBy('tenant').execute()
  const [own, other] = rows
  const refused = async (): Promise<void> => {
    await expect(openVault({ store, keys, tenant: 'a', allow: () => true })).rejects.toMatchObject({
      code: 'invalid_config',
    })
  }
  const set = async (change: Partial<Row<'vault_keys'>>): Promise<void> => {
    await store.db.updateTable('vault_keys').set(change).where('tenant', '=', 'a').execute()
  }
  const wrapped = Buffer.from(own?.wrapped ?? [])
  let tried = 0
  for (let bit = Math.floor(random() * 3); bit < wrapped.length * 8; bit += 3) {
    const changed = Buffer.from(wrapped)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    await set({ wrapped: changed })
    await refused()
    tried += 1
  }
  await set({ wrapped: other?.wrapped ?? null })
  await refused()
  await set({ wrapped, id: 'f'.repeat(32) })
  await refused()
  await set({ id: own?.id ?? '' })
  const vault = await openedVault({ store, keys, tenant: 'a' })
  expect(await vault.get({ partner: '*', name: 's' }, me)).toBe('v')
  handOverCounts({ dataKeysRefused: tried + 2 })
})
