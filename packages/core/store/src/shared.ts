import { reserveTurns, type Shared } from '@ecokit/contracts'
import type { Transaction } from 'kysely'
import { locked } from './lock.ts'
import type { Database } from './schema.ts'
import type { Store } from './store.ts'

/** How many writes go by between two looks for what has expired, and how much is let go at once. */
const sweepEvery = 200
const sweepAtMost = 500
/** A lease that nobody renewed for so long is forgotten. */
const leaseForgottenMs = 24 * 60 * 60 * 1000

const sweep = async (db: Transaction<Database>, at: number): Promise<void> => {
  const expired = db.selectFrom('shared_values').select('key').where('expires_at', '<=', at).limit(sweepAtMost)
  await db.deleteFrom('shared_values').where('key', 'in', expired).execute()
  // A full bucket that nothing holds back is the same as none.
  await db.deleteFrom('shared_buckets').where('full_at', '<=', at).where('held_until', '<=', at).execute()
  await db
    .deleteFrom('leases')
    .where('expires_at', '<=', at - leaseForgottenMs)
    .execute()
}

/** A bucket as it is now. Where the clock was put back, it is put back as far: what was still to wait is still to wait, and not longer. */
const bucketAt = async (
  db: Transaction<Database>,
  key: string,
  at: number,
): Promise<{ readonly fullAt: number; readonly heldUntil: number; readonly moved: boolean }> => {
  const row = await db
    .selectFrom('shared_buckets')
    .select(['full_at', 'held_until', 'seen_at'])
    .where('key', '=', key)
    .executeTakeFirst()
  if (row === undefined) return { fullAt: 0, heldUntil: 0, moved: false }
  const back = Math.max(0, row.seen_at - at)
  return { fullAt: row.full_at - back, heldUntil: row.held_until - back, moved: back > 0 }
}

const keepBucket = async (
  db: Transaction<Database>,
  key: string,
  at: number,
  bucket: { readonly fullAt: number; readonly heldUntil: number },
): Promise<void> => {
  const row = { full_at: bucket.fullAt, held_until: bucket.heldUntil, seen_at: at }
  await db
    .insertInto('shared_buckets')
    .values({ key, ...row })
    .onConflict((conflict) => conflict.column('key').doUpdateSet(row))
    .execute()
}

/** `Shared` for all processes that open the same file. Its leases are those of the store. */
export const openShared = (store: Store): Shared => {
  let writes = 0
  const writing = <T>(work: (transaction: Transaction<Database>, at: number) => Promise<T>): Promise<T> =>
    locked(store.db, async (transaction) => {
      const at = store.now()
      if (writes++ % sweepEvery === 0) await sweep(transaction, at)
      return work(transaction, at)
    })
  return {
    get: async (key) => {
      const row = await store.db
        .selectFrom('shared_values')
        .select(['value', 'version', 'expires_at'])
        .where('key', '=', key)
        .executeTakeFirst()
      if (row === undefined || (row.expires_at !== null && row.expires_at <= store.now())) return undefined
      return { value: row.value, version: row.version }
    },
    put: (key, value, { expected, expiresAt = Infinity } = {}) =>
      writing(async (db, at) => {
        const row = await db
          .selectFrom('shared_values')
          .select(['version', 'expires_at'])
          .where('key', '=', key)
          .executeTakeFirst()
        const version = row === undefined || (row.expires_at !== null && row.expires_at <= at) ? 0 : row.version
        if (expected !== undefined && expected !== version) return false
        const written = { value, version: version + 1, expires_at: expiresAt === Infinity ? null : expiresAt }
        await db
          .insertInto('shared_values')
          .values({ key, ...written })
          .onConflict((conflict) => conflict.column('key').doUpdateSet(written))
          .execute()
        return true
      }),
    delete: (key) =>
      writing(async (db) => {
        await db.deleteFrom('shared_values').where('key', '=', key).execute()
      }),
    lease: (key, holder, ttlMs) => store.lease(key, holder, ttlMs),
    release: (key, holder) => store.release(key, holder),
    reserve: (key, rate, count, maxWaitMs) =>
      writing(async (db, at) => {
        const bucket = await bucketAt(db, key, at)
        const start = Math.max(at, bucket.heldUntil)
        const booked = reserveTurns(bucket.fullAt, start, rate, count, maxWaitMs - (start - at))
        if (booked !== undefined || bucket.moved) await keepBucket(db, key, at, { ...bucket, ...booked })
        return booked === undefined ? undefined : booked.waitMs + (start - at)
      }),
    hold: (key, until) =>
      writing(async (db, at) => {
        const bucket = await bucketAt(db, key, at)
        if (until > bucket.heldUntil || bucket.moved)
          await keepBucket(db, key, at, { ...bucket, heldUntil: Math.max(bucket.heldUntil, until) })
      }),
  }
}
