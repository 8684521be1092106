import { createSecretKey, type KeyObject } from 'node:crypto'
import { integrationError, isIntegrationError } from '@ecokit/contracts'
import type { Row, Store } from '@ecokit/store'
import { badKey } from './failures.ts'
import { locked, type Transaction } from './locked.ts'
import type { KeyProvider } from './types.ts'

/** Opened keys are kept as KeyObjects, whose bytes no JavaScript sees; a tenant has few, so the bound is only against a runaway. */
const keptKeys = 64

/** A data key that was opened. */
export interface DataKey {
  readonly id: string
  readonly key: KeyObject
}

/** The data keys of one tenant. */
export interface DataKeys {
  /** Without looking into the database. */
  kept(id: string): KeyObject | undefined
  /** Undefined where it was destroyed, or is none of this tenant. */
  find(id: string): Promise<KeyObject | undefined>
  /** The key that seals; makes the first one, and a new one where `uses` more would be too many. */
  active(uses: number): Promise<DataKey>
  /** Opens the active key where there is one: throws where the key-encryption key is missing or wrong. */
  check(): Promise<void>
  /** Books so many uses; false where it is no longer the active key, or used up: ask `active` again. Holds up whoever retires it until the transaction ends. */
  book(db: Transaction, id: string, uses: number): Promise<boolean>
  /** Makes a new active key where this one still is it. */
  replace(id: string | undefined): Promise<void>
  /** Wraps every key that is not wrapped by the current key-encryption key; gives how many and which wrapped them before. */
  rewrap(each: () => void, signal?: AbortSignal): Promise<{ readonly count: number; readonly from: readonly string[] }>
  forget(): void
}

const boundTo = (tenant: string, id: string): Buffer =>
  Buffer.from(JSON.stringify(['ecokit vault data key 1', tenant, id]))

const isConflict = (error: unknown): boolean => isIntegrationError(error, 'conflict')

export const openDataKeys = ({
  store,
  keys: provider,
  tenant,
  now,
  random,
  maxUses,
}: {
  readonly store: Store
  readonly keys: KeyProvider
  readonly tenant: string
  readonly now: () => number
  readonly random: (size: number) => Uint8Array
  readonly maxUses: number
}): DataKeys => {
  const opened = new Map<string, KeyObject>()
  let activeId: string | undefined

  const unwrap = async ({ id, kek_id, wrapped }: Row<'vault_keys'>): Promise<KeyObject | undefined> => {
    const known = opened.get(id)
    if (known !== undefined || wrapped === null) return known
    const bytes = await provider.unwrap(kek_id, wrapped, boundTo(tenant, id))
    const key = createSecretKey(bytes)
    bytes.fill(0)
    const oldest = opened.size < keptKeys ? undefined : opened.keys().next().value
    if (oldest !== undefined) opened.delete(oldest)
    opened.set(id, key)
    return key
  }
  const rowOf = (id: string): Promise<Row<'vault_keys'> | undefined> =>
    store.db
      .selectFrom('vault_keys')
      .selectAll()
      .where('id', '=', id)
      .where('tenant', '=', tenant)
      .where('state', '<>', 'destroyed')
      .executeTakeFirst()
  const activeRow = (db: Pick<Store['db'], 'selectFrom'> = store.db): Promise<Row<'vault_keys'> | undefined> =>
    db
      .selectFrom('vault_keys')
      .selectAll()
      .where('tenant', '=', tenant)
      .where('state', '=', 'active')
      .executeTakeFirst()
  const find = async (id: string): Promise<KeyObject | undefined> => {
    // A key that was wrapped anew between the two looks has another key-encryption key now.
    for (let turn = 1; ; turn++) {
      const row = await rowOf(id)
      if (row === undefined) return undefined
      try {
        return await unwrap(row)
      } catch (error) {
        const again = turn < 5 ? await rowOf(id) : row
        if (again?.kek_id === row.kek_id) throw error
      }
    }
  }
  const open = async (row: Row<'vault_keys'>): Promise<DataKey> => {
    const key = opened.get(row.id) ?? (await find(row.id))
    if (key === undefined) throw badKey(`the vault's data key ${row.id} is gone`, 'Restore the database from a backup')
    return { id: row.id, key }
  }

  const replace: DataKeys['replace'] = async (id) => {
    const fresh = random(32)
    const freshId = Buffer.from(random(16)).toString('hex')
    const { keyId, wrapped } = await provider.wrap(fresh, boundTo(tenant, freshId))
    const key = createSecretKey(fresh)
    fresh.fill(0)
    const at = now()
    try {
      const made = await locked(store, async (db) => {
        if ((await activeRow(db))?.id !== id) return false
        // Under the write lock nobody destroys a key-encryption key: what is current now stays until this key is in the table.
        if ((await provider.current()) !== keyId) return false
        if (id !== undefined)
          await db.updateTable('vault_keys').set({ state: 'retired', updated_at: at }).where('id', '=', id).execute()
        await db
          .insertInto('vault_keys')
          .values({
            id: freshId,
            tenant,
            kek_id: keyId,
            wrapped,
            state: 'active',
            uses: 0,
            created_at: at,
            updated_at: at,
          })
          .execute()
        return true
      })
      if (!made) return
    } catch (error) {
      // Another process was faster.
      if (isConflict(error)) return
      throw error
    }
    opened.set(freshId, key)
    activeId = freshId
  }

  return {
    kept: (id) => opened.get(id),
    find: async (id) => opened.get(id) ?? (await find(id)),
    active: async (uses) => {
      if (uses > maxUses)
        throw integrationError('too_large', {
          what: `more than ${maxUses} sealed values at once`,
          details: { limit: maxUses },
        })
      const known = activeId === undefined ? undefined : opened.get(activeId)
      if (activeId !== undefined && known !== undefined) return { id: activeId, key: known }
      for (;;) {
        const row = await activeRow()
        if (row !== undefined && row.uses + uses <= maxUses) {
          const active = await open(row)
          activeId = row.id
          return active
        }
        await replace(row?.id)
      }
    },
    check: async () => {
      await provider.current()
      const row = await activeRow()
      if (row !== undefined) await open(row)
    },
    book: async (db, id, uses) => {
      const booked = await db
        .updateTable('vault_keys')
        .set((column) => ({ uses: column('uses', '+', uses), updated_at: now() }))
        .where('id', '=', id)
        .where('state', '=', 'active')
        .where('uses', '<=', maxUses - uses)
        .returning('id')
        .execute()
      if (booked.length === 0) activeId = undefined
      return booked.length > 0
    },
    replace,
    rewrap: async (each, signal) => {
      const from = new Set<string>()
      let count = 0
      for (;;) {
        signal?.throwIfAborted()
        const current = await provider.current()
        const row = await store.db
          .selectFrom('vault_keys')
          .selectAll()
          .where('tenant', '=', tenant)
          .where('state', '<>', 'destroyed')
          .where('kek_id', '<>', current)
          .executeTakeFirst()
        if (row === undefined || row.wrapped === null) return { count, from: [...from] }
        let bytes: Uint8Array
        try {
          bytes = await provider.unwrap(row.kek_id, row.wrapped, boundTo(tenant, row.id))
        } catch (error) {
          // Another process may have wrapped it anew meanwhile, and destroyed what it was wrapped by.
          if ((await rowOf(row.id))?.kek_id === row.kek_id) throw error
          continue
        }
        const { keyId, wrapped } = await provider.wrap(bytes, boundTo(tenant, row.id))
        bytes.fill(0)
        await locked(store, async (db) => {
          if ((await provider.current()) !== keyId) return
          await db
            .updateTable('vault_keys')
            .set({ kek_id: keyId, wrapped, updated_at: now() })
            .where('id', '=', row.id)
            .where('kek_id', '=', row.kek_id)
            .where('state', '<>', 'destroyed')
            .execute()
        })
        from.add(row.kek_id)
        count += 1
        each()
      }
    },
    forget: () => {
      opened.clear()
      activeId = undefined
    },
  }
}
