import type { KeyObject } from 'node:crypto'
import { integrationError } from '@ecokit/contracts'
import type { Row, Store } from '@ecokit/store'
import type { DataKey, DataKeys } from './data-keys.ts'
import { boundTo, keyIdOf, nonceBytes, open, type Place, seal } from './envelope.ts'
import { damaged } from './failures.ts'
import { locked, type Transaction } from './locked.ts'

export type SealedRow = Row<'vault_records'>
/** All versions of one secret, or one token. */
export interface Series {
  readonly kind: 'secret' | 'token'
  readonly partner: string
  readonly name: string
}

/** Inside a transaction that has booked its uses. */
export interface Sealing {
  readonly db: Transaction
  /** Adds or replaces the row of that place. */
  readonly write: (place: Omit<Place, 'tenant'>, value: string) => Promise<void>
  /** Seals for a row that stays where it is. */
  readonly seal: (place: Place, value: string) => { readonly key_id: string; readonly envelope: Uint8Array }
  /** Opens a row; one whose key is not in memory is fetched, and the whole transaction begun again. */
  readonly open: (row: SealedRow) => string
}

export interface Records {
  readonly tenant: string
  /** Opens a row with whatever key it needs. Undefined where its key was destroyed meanwhile: read the row again. */
  unseal(row: SealedRow): Promise<string | undefined>
  /** The value of the row that `read` gives, which is asked again where a rotation moved it meanwhile. */
  reading(
    read: () => Promise<SealedRow | undefined>,
  ): Promise<{ readonly row: SealedRow; readonly value: string } | undefined>
  /** Runs `work` under the write lock with an active key and so many uses of it booked; begins again where the key was retired meanwhile. */
  sealing<T>(uses: number, work: (sealing: Sealing) => Promise<T>): Promise<T>
  /** Every row of a series, newest first, removed ones too. */
  rowsOf(series: Series, db?: Pick<Store['db'], 'selectFrom'>): Promise<readonly SealedRow[]>
}

/** Thrown inside a transaction where a key is not in memory; never leaves `sealing`. */
const needs = new WeakMap<object, string>()

/** How often a row is read again whose key was destroyed under our hands; each time somebody else made progress. */
const turns = 10

export const isSealed = (row: SealedRow): row is SealedRow & { readonly envelope: Uint8Array } => row.envelope !== null

/** What the envelope and the row agree on, before any key is tried. */
export const keyOf = (row: SealedRow): string => {
  const { envelope } = row
  const id = envelope instanceof Uint8Array ? keyIdOf(envelope) : undefined
  if (id === undefined) throw damaged(row, row.version, 'it has not the form of a sealed value')
  if (id !== row.key_id) throw damaged(row, row.version, 'it names another key than its row')
  return id
}

export const openWith = (key: KeyObject, row: SealedRow): string => {
  const envelope = row.envelope ?? new Uint8Array()
  try {
    return open(key, envelope, boundTo(row, envelope))
  } catch {
    throw damaged(row, row.version, 'it was changed, or moved here from another place')
  }
}

/** Nonces are asked for many at a time, which costs far less; each is given out once. */
const noncesFrom = (random: (size: number) => Uint8Array): (() => Uint8Array) => {
  let pool: Uint8Array = new Uint8Array()
  let used = 0
  return () => {
    if (used === pool.length) {
      pool = random(nonceBytes * 64)
      used = 0
    }
    used += nonceBytes
    return pool.subarray(used - nonceBytes, used)
  }
}

export const openRecords = (
  store: Store,
  tenant: string,
  keys: DataKeys,
  random: (size: number) => Uint8Array,
): Records => {
  const unseal: Records['unseal'] = async (row) => {
    const id = keyOf(row)
    const key = keys.kept(id) ?? (await keys.find(id))
    return key === undefined ? undefined : openWith(key, row)
  }
  const nonce = noncesFrom(random)
  const sealed = ({ id, key }: DataKey, place: Place, value: string) => ({
    key_id: id,
    envelope: seal(key, id, nonce(), place, value),
  })
  return {
    tenant,
    unseal,
    reading: async (read) => {
      for (let turn = 1; ; turn++) {
        const row = await read()
        if (row === undefined || !isSealed(row)) return undefined
        const value = await unseal(row)
        if (value !== undefined) return { row, value }
        if (turn === turns) throw damaged(row, row.version, 'the vault has no such key, or it was destroyed')
      }
    },
    sealing: async (uses, work) => {
      /** Keys that the vault does not have: what names them opens with nothing. */
      const gone = new Set<string>()
      for (;;) {
        const active = await keys.active(uses)
        try {
          const done = await locked(store, async (db) => {
            if (!(await keys.book(db, active.id, uses))) return undefined
            let left = uses
            const sealNow = (place: Place, value: string) => {
              left -= 1
              if (left < 0)
                throw integrationError('internal', { what: 'the vault sealed more than it had booked', details: {} })
              return sealed(active, place, value)
            }
            const value = await work({
              db,
              seal: sealNow,
              write: async (place, text) => {
                const row = { tenant, ...place, ...sealNow({ tenant, ...place }, text) }
                await db
                  .insertInto('vault_records')
                  .values(row)
                  .onConflict((conflict) =>
                    conflict.columns(['tenant', 'kind', 'partner', 'name', 'version']).doUpdateSet(row),
                  )
                  .execute()
              },
              open: (row) => {
                const id = keyOf(row)
                const key = keys.kept(id)
                if (key !== undefined) return openWith(key, row)
                if (gone.has(id)) throw damaged(row, row.version, 'the vault has no such key, or it was destroyed')
                const missing = new Error('a data key is not in memory')
                needs.set(missing, id)
                throw missing
              },
            })
            return { value }
          })
          if (done !== undefined) return done.value
        } catch (error) {
          // Keys are opened outside of transactions: a key management service may take its time.
          const id = typeof error === 'object' && error !== null ? needs.get(error) : undefined
          if (id === undefined) throw error
          if ((await keys.find(id)) === undefined) gone.add(id)
        }
      }
    },
    rowsOf: ({ kind, partner, name }, db = store.db) =>
      db
        .selectFrom('vault_records')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('kind', '=', kind)
        .where('partner', '=', partner)
        .where('name', '=', name)
        .orderBy('version', 'desc')
        .execute(),
  }
}
