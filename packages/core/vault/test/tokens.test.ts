import path from 'node:path'
import { memoryShared } from '@ecokit/http'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { keysOf, memoryAudit, newKey, openedStore, openedVault, rowsOf, temporaryFolder } from './support.ts'

const key = 'tokens/p/abc'

test('tokens are sealed rows bound to their partner and key', async () => {
  const store = await openedStore()
  const tokens = (await openedVault({ store, now: () => 1000 })).tokens(memoryShared())
  expect(await tokens.put(key, 'canary', { expiresAt: 5000.5 })).toBe(true)
  expect(await tokens.get(key)).toEqual({ value: 'canary', version: 1 })
  const [row] = await rowsOf(store)
  expect(row).toMatchObject({ kind: 'token', partner: 'p', name: key, version: 1, expires_at: 5001 })
  expect(Buffer.from(row?.envelope ?? []).includes('canary')).toBe(false)
  for (const change of [{ name: 'tokens/p/other' }, { version: 2 }, { expires_at: 9000 }, { expires_at: null }]) {
    await store.db.updateTable('vault_records').set(change).execute()
    await expect(tokens.get(change.name ?? key)).rejects.toMatchObject({ code: 'invalid_data' })
    await store.db.updateTable('vault_records').set({ name: key, version: 1, expires_at: 5001 }).execute()
  }
  expect(await tokens.get(key)).toEqual({ value: 'canary', version: 1 })
})

test('get, put with what was expected, expiry and delete do what memoryShared does', async () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('put' as const),
      expected: fc.constantFrom('none', 'current', 'stale', 'any'),
      ttl: fc.constantFrom(undefined, 5),
    }),
    fc.record({ kind: fc.constant('delete' as const) }),
    fc.record({ kind: fc.constant('wait' as const) }),
  )
  const store = await openedStore()
  let round = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      let now = 0
      const model = memoryShared(() => now)
      const tokens = (await openedVault({ store, now: () => now, tenant: `t${round++}` })).tokens(model)
      for (const [index, one] of steps.entries()) {
        const [mine, theirs] = [await tokens.get(key), await model.get(key)]
        expect(mine?.value).toBe(theirs?.value)
        expect(mine === undefined || mine.version >= (theirs?.version ?? 0)).toBe(true)
        if (one.kind === 'wait') now += 5
        else if (one.kind === 'delete') await Promise.all([tokens.delete(key), model.delete(key)])
        let results: readonly [boolean, boolean] = [true, true]
        if (one.kind === 'put') {
          const expected = (current: number | undefined): { readonly expected?: number } =>
            one.expected === 'any'
              ? {}
              : { expected: one.expected === 'none' ? 0 : (current ?? 0) + (one.expected === 'stale' ? 1 : 0) }
          const until = one.ttl === undefined ? {} : { expiresAt: now + one.ttl }
          results = [
            await tokens.put(key, `v${index}`, { ...expected(mine?.version), ...until }),
            await model.put(key, `v${index}`, { ...expected(theirs?.version), ...until }),
          ]
        }
        expect(results[0]).toBe(results[1])
      }
    }),
    { numRuns: 60 },
  )
})

test('of many that expect the same version one wins, over all connections', async () => {
  const file = path.join(await temporaryFolder(), 'state.db')
  const keys = keysOf(newKey())
  const both = await Promise.all(
    [1, 2].map(async () => (await openedVault({ store: await openedStore(file), keys })).tokens(memoryShared())),
  )
  for (let version = 0; version < 20; version++) {
    const tries = both.flatMap((tokens, index) =>
      [0, 1, 2].map((turn) => tokens.put(key, `${version} ${index} ${turn}`, { expected: version })),
    )
    expect((await Promise.all(tries)).filter(Boolean)).toHaveLength(1)
    expect((await both[0]?.get(key))?.version).toBe(version + 1)
  }
})

test('a version that was deleted or has expired is never taken for a new one', async () => {
  let now = 0
  const tokens = (await openedVault({ store: await openedStore(), now: () => now })).tokens(memoryShared())
  await tokens.put(key, 'a')
  await tokens.delete(key)
  await tokens.delete(key)
  expect(await tokens.get(key)).toBeUndefined()
  expect(await tokens.put(key, 'b', { expected: 1 })).toBe(false)
  expect(await tokens.put(key, 'b', { expected: 0, expiresAt: 10 })).toBe(true)
  expect(await tokens.get(key)).toEqual({ value: 'b', version: 2 })
  now = 10
  expect(await tokens.get(key)).toBeUndefined()
  expect(await tokens.put(key, 'c', { expected: 2 })).toBe(false)
  expect(await tokens.put(key, 'c', { expected: 0 })).toBe(true)
  expect(await tokens.get(key)).toEqual({ value: 'c', version: 3 })
})

test('leases and rate budgets stay with what is shared', async () => {
  const shared = memoryShared(() => 0)
  const tokens = (await openedVault({ store: await openedStore() })).tokens(shared)
  expect(await tokens.lease('l', 'me', 100)).toBe(true)
  expect(await shared.lease('l', 'you', 100)).toBe(false)
  await tokens.release('l', 'me')
  expect(await shared.lease('l', 'you', 100)).toBe(true)
  await tokens.hold('b', 50)
  expect(await tokens.reserve('b', { perSecond: 1, burst: 1 }, 1, 100)).toBe(50)
})

test('tokens are denied by default, and their use is written down', async () => {
  const store = await openedStore()
  const audit = memoryAudit()
  const denied = (await openedVault({ store, allow: () => false, audit })).tokens(memoryShared())
  await expect(denied.get(key)).rejects.toMatchObject({ code: 'forbidden', partner: 'p' })
  await expect(denied.put(key, 'x')).rejects.toMatchObject({ code: 'forbidden' })
  await expect(denied.delete(key)).rejects.toMatchObject({ code: 'forbidden' })
  const vault = await openedVault({ store, audit })
  const tokens = vault.tokens(memoryShared(), { actor: 'up', reason: 'calls' })
  await tokens.put(key, 'canary')
  for (let turn = 0; turn < 5; turn++) await tokens.get(key)
  await vault.close()
  expect(audit.entries.map(({ actor, action, target, outcome }) => `${actor} ${action} ${target} ${outcome}`)).toEqual([
    `connections vault.token.read p/${key} denied`,
    `connections vault.token.write p/${key} denied`,
    `up vault.token.write p/${key} allowed`,
    `up vault.token.read p/${key} allowed`,
    `up vault.token.read p/${key} allowed`,
  ])
  expect(audit.entries.at(-1)?.details).toMatchObject({ repeats: 4 })
  expect(JSON.stringify(audit.entries)).not.toContain('canary')
})
