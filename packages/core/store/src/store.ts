import { integrationError, isIntegrationError, toIntegrationError } from '@ecokit/contracts'
import { Kysely, type Transaction } from 'kysely'
import { Migrator } from 'kysely/migration'
import type { Engine } from './engine.ts'
import { locked } from './lock.ts'
import { migrations } from './migrations.ts'
import type { Database } from './schema.ts'
import { sqlite, unexpected } from './sqlite.ts'

/** One open database: the tables through Kysely, and leases over processes. */
export interface Store extends AsyncDisposable {
  readonly db: Kysely<Database>
  /** The whole path of the file; `:memory:` where there is none. */
  readonly path: string
  /** The store's clock: epoch milliseconds. */
  readonly now: () => number
  /** True when `holder` has the lease now: nobody had it, it had run out, or the holder had it already. */
  lease(name: string, holder: string, ttlMs: number): Promise<boolean>
  /** Extends a lease that the holder still has; false when it was lost to another. */
  renew(name: string, holder: string, ttlMs: number): Promise<boolean>
  /** Gives a lease back; nothing happens when another has it. */
  release(name: string, holder: string): Promise<void>
  /** Who has the lease now; undefined when nobody has. */
  leaseHolder(name: string): Promise<string | undefined>
  close(): Promise<void>
}

export interface StoreOptions {
  /** Epoch milliseconds; default the machine's clock. */
  readonly now?: () => number
}

const migrate = async (db: Kysely<Database>, engine: Engine, path: string): Promise<void> => {
  const known = migrations(engine)
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve({ ...known }) } })
  const { error } = await migrator.migrateToLatest()
  if (error === undefined) return
  if (error instanceof Error && /previously executed migration .* is missing/.test(error.message))
    throw integrationError('unsupported', {
      what: `the state database ${path} was written by a newer version of this program`,
      next: 'Update the program, or name another database',
      details: { what: 'state database' },
    })
  if (isIntegrationError(error)) throw error
  // Statements that fail say so themselves: this is the list of migrations, which the file has otherwise.
  throw unexpected(path, toIntegrationError(error).message)
}

/** A clock that was put back would make a dead holder's lease last as much longer: the lease is put back with it. */
const putBack = async (db: Transaction<Database>, name: string, at: number): Promise<void> => {
  await db
    .updateTable('leases')
    .set((lease) => ({ expires_at: lease(lease('expires_at', '-', lease.ref('taken_at')), '+', at), taken_at: at }))
    .where('name', '=', name)
    .where('taken_at', '>', at)
    .execute()
}

const leases = (
  db: Kysely<Database>,
  now: () => number,
): Pick<Store, 'lease' | 'renew' | 'release' | 'leaseHolder'> => ({
  lease: (name, holder, ttlMs) =>
    locked(db, async (transaction) => {
      const at = now()
      await putBack(transaction, name, at)
      const row = { holder, expires_at: at + ttlMs, taken_at: at }
      const taken = await transaction
        .insertInto('leases')
        .values({ name, ...row })
        .onConflict((conflict) =>
          conflict
            .column('name')
            .doUpdateSet(row)
            .where((where) => where.or([where('leases.expires_at', '<=', at), where('leases.holder', '=', holder)])),
        )
        .returning('name')
        .execute()
      return taken.length > 0
    }),
  renew: (name, holder, ttlMs) =>
    locked(db, async (transaction) => {
      const at = now()
      const renewed = await transaction
        .updateTable('leases')
        .set({ expires_at: at + ttlMs, taken_at: at })
        .where('name', '=', name)
        .where('holder', '=', holder)
        .returning('name')
        .execute()
      return renewed.length > 0
    }),
  release: async (name, holder) => {
    await locked(db, (transaction) =>
      transaction.deleteFrom('leases').where('name', '=', name).where('holder', '=', holder).execute(),
    )
  },
  leaseHolder: async (name) => {
    const row = await db
      .selectFrom('leases')
      .select('holder')
      .where('name', '=', name)
      .where('expires_at', '>', now())
      .executeTakeFirst()
    return row?.holder
  },
})

/** Opens the database, makes it where there is none (readable by its owner only) and brings its tables up to date. `:memory:` keeps nothing. */
export const openStore = async (path: string, { now = Date.now }: StoreOptions = {}): Promise<Store> => {
  const engine = sqlite(path)
  const db = new Kysely<Database>({ dialect: engine.dialect })
  const close = (): Promise<void> => db.destroy()
  try {
    await migrate(db, engine, path)
  } catch (error) {
    await close().catch(() => undefined)
    throw error
  }
  return { db, path: engine.path, now, ...leases(db, now), close, [Symbol.asyncDispose]: close }
}
