import { setImmediate } from 'node:timers/promises'
import { integrationError, isIntegrationError } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import type { DataKeys } from './data-keys.ts'
import { locked } from './locked.ts'
import type { Records, SealedRow, Sealing } from './records.ts'
import type { KeyProvider, Rotated, RotateOptions } from './types.ts'

/** Rows in one transaction: enough that its commit costs little, few enough that nobody waits long for the lock. */
export const batchRows = 250

interface Rotation {
  readonly store: Store
  readonly tenant: string
  readonly keys: DataKeys
  readonly records: Records
  readonly provider: KeyProvider
}

type Position = Pick<SealedRow, 'kind' | 'partner' | 'name' | 'version'>

const rowsOn = (
  { store, tenant }: Rotation,
  keyId: string,
  after: Position | undefined,
): Promise<readonly SealedRow[]> => {
  const all = store.db
    .selectFrom('vault_records')
    .selectAll()
    .where('key_id', '=', keyId)
    .where('tenant', '=', tenant)
    .orderBy('kind')
    .orderBy('partner')
    .orderBy('name')
    .orderBy('version')
    .limit(batchRows)
  return (
    after === undefined
      ? all
      : all.where((expression) =>
          expression(
            expression.refTuple('kind', 'partner', 'name', 'version'),
            '>',
            expression.tuple(after.kind, after.partner, after.name, after.version),
          ),
        )
  ).execute()
}

/** The keys of this tenant that no longer seal, with how many rows still need each. */
const retiredKeys = async ({
  store,
  tenant,
}: Rotation): Promise<readonly { readonly id: string; readonly rows: number }[]> => {
  const rows = await store.db
    .selectFrom('vault_keys')
    .leftJoin('vault_records', 'vault_records.key_id', 'vault_keys.id')
    .select((expression) => ['vault_keys.id as id', expression.fn.count<number>('vault_records.key_id').as('rows')])
    .where('vault_keys.tenant', '=', tenant)
    .where('vault_keys.state', '=', 'retired')
    .groupBy('vault_keys.id')
    .orderBy('vault_keys.id')
    .execute()
  return rows
}

/** Exchanges the envelope of one row where it still is the one that was read. Compiled once: building the statement costs more than running it. */
const exchangeIn = (store: Store) => {
  const compiled = store.db
    .updateTable('vault_records')
    .set({ key_id: '', envelope: null })
    .where('tenant', '=', '')
    .where('kind', '=', 'secret')
    .where('partner', '=', '')
    .where('name', '=', '')
    .where('version', '=', 0)
    .where('active', '=', 0)
    .where('envelope', '=', new Uint8Array())
    .compile()
  return async (
    db: Sealing['db'],
    row: SealedRow,
    { key_id, envelope }: { readonly key_id: string; readonly envelope: Uint8Array },
  ): Promise<boolean> => {
    const { tenant, kind, partner, name, version, active } = row
    const parameters = [key_id, envelope, tenant, kind, partner, name, version, active, row.envelope]
    const { numAffectedRows } = await db.executeQuery({ ...compiled, parameters })
    return numAffectedRows === 1n
  }
}
type Exchange = ReturnType<typeof exchangeIn>

/** Seals one row anew, unless somebody changed it since it was read: then it is sealed by the new key already, or comes up again. */
const move = async ({ db, seal, open }: Sealing, exchange: Exchange, row: SealedRow): Promise<boolean> =>
  exchange(db, row, seal(row, open(row)))

interface Pass {
  moved: number
  readonly unreadable: SealedRow[]
}

/** Moves every row of one retired key that can be read. */
const drain = async (rotation: Rotation, keyId: string, pass: Pass, options: Stepping): Promise<void> => {
  const exchange = exchangeIn(rotation.store)
  for (let after: Position | undefined; ;) {
    options.signal?.throwIfAborted()
    const rows = await rowsOn(rotation, keyId, after)
    if (rows.length === 0) return
    const done = await rotation.records.sealing(rows.length, async (sealing) => {
      let moved = 0
      const unreadable: SealedRow[] = []
      for (const row of rows)
        try {
          if (await move(sealing, exchange, row)) moved += 1
        } catch (error) {
          if (!isIntegrationError(error, 'invalid_data')) throw error
          unreadable.push(row)
        }
      return { moved, unreadable }
    })
    pass.moved += done.moved
    pass.unreadable.push(...done.unreadable)
    options.step(done.moved)
    after = rows.at(-1)
    // Others in this process get their turn.
    await setImmediate()
  }
}

interface Stepping {
  readonly signal: AbortSignal | undefined
  step(moved: number): void
}

/** Moves what is left on retired keys, until a pass finds nothing more to move: a writer may have put a row there just before its key was retired. */
const drainAll = async (
  rotation: Rotation,
  { signal, onProgress }: RotateOptions,
): Promise<{ readonly moved: number; readonly unreadable: readonly SealedRow[] }> => {
  let moved = 0
  let total = 0
  for (;;) {
    const left = (await retiredKeys(rotation)).filter(({ rows }) => rows > 0)
    total = Math.max(total, moved + left.reduce((sum, { rows }) => sum + rows, 0))
    const pass: Pass = { moved: 0, unreadable: [] }
    const step = (count: number): void => {
      moved += count
      onProgress?.({ step: 'data_keys', done: moved, total: Math.max(total, moved) })
    }
    for (const { id } of left) await drain(rotation, id, pass, { signal, step })
    if (pass.moved === 0) return { moved, unreadable: pass.unreadable }
  }
}

const rotateDataKeys = async (
  rotation: Rotation,
  options: RotateOptions,
): Promise<NonNullable<Rotated['dataKeys']>> => {
  // What an interrupted rotation left behind comes first; its new key is the active one already.
  const earlier = await drainAll(rotation, options)
  const resumed = earlier.moved > 0
  let rest = earlier
  if (!resumed) {
    options.signal?.throwIfAborted()
    const { id } = await rotation.keys.active(1)
    await rotation.keys.replace(id)
    rest = await drainAll(rotation, options)
  }
  const to = await rotation.keys.active(1)
  const free = (await retiredKeys(rotation)).filter(({ rows }) => rows === 0)
  return {
    to: to.id,
    resumed,
    moved: rest.moved,
    from: free.map(({ id }) => id),
    unreadable: rest.unreadable.map(({ kind, partner, name, version }) => ({ kind, partner, name, version })),
  }
}

const rotateKeyEncryptionKey = async (
  { store, tenant, keys, provider }: Rotation,
  { signal, onProgress }: RotateOptions,
): Promise<NonNullable<Rotated['keyEncryptionKey']>> => {
  const waiting = async (current: string): Promise<number> => {
    const { count } = await store.db
      .selectFrom('vault_keys')
      .select((expression) => expression.fn.countAll<number>().as('count'))
      .where('tenant', '=', tenant)
      .where('state', '<>', 'destroyed')
      .where('kek_id', '<>', current)
      .executeTakeFirstOrThrow()
    return count
  }
  // A key that somebody put there, or that an interrupted rotation made, is taken before another is made.
  let total = await waiting(await provider.current())
  const made = total === 0 && provider.add !== undefined
  if (made) {
    await provider.add?.()
    total = await waiting(await provider.current())
  }
  let done = 0
  const each = (): void => onProgress?.({ step: 'key_encryption_key', done: ++done, total: Math.max(total, done) })
  const { count, from } = await keys.rewrap(each, signal)
  return { to: await provider.current(), made, rewrapped: count, from }
}

export const whatToRotate = ({
  keyEncryptionKey,
  dataKeys,
}: RotateOptions): { readonly keyEncryptionKey: boolean; readonly dataKeys: boolean } => {
  const both = keyEncryptionKey === undefined && dataKeys === undefined
  return { keyEncryptionKey: keyEncryptionKey ?? both, dataKeys: dataKeys ?? both }
}

export const rotate = async (rotation: Rotation, options: RotateOptions): Promise<Rotated> => {
  const what = whatToRotate(options)
  return {
    ...(what.keyEncryptionKey ? { keyEncryptionKey: await rotateKeyEncryptionKey(rotation, options) } : {}),
    ...(what.dataKeys ? { dataKeys: await rotateDataKeys(rotation, options) } : {}),
  }
}

const inUse = (what: string, next: string): Error => integrationError('conflict', { what, next, details: {} })

/** Checks and destroys under the write lock, so that nothing can begin to need the key in between. */
export const destroyKey = ({ store, tenant, provider, keys }: Rotation, keyId: string, at: number): Promise<void> =>
  locked(store, async (db) => {
    const row = await db
      .selectFrom('vault_keys')
      .select(['id', 'state'])
      .where('id', '=', keyId)
      .where('tenant', '=', tenant)
      .executeTakeFirst()
    if (row !== undefined) {
      if (row.state === 'active')
        throw inUse(`the data key ${keyId} is the active one`, 'Rotate first: ecokit vault rotate')
      const { count } = await db
        .selectFrom('vault_records')
        .select((expression) => expression.fn.countAll<number>().as('count'))
        .where('key_id', '=', keyId)
        .executeTakeFirstOrThrow()
      if (count > 0)
        throw inUse(`${count} sealed values need the data key ${keyId}`, 'Rotate first: ecokit vault rotate')
      await db
        .updateTable('vault_keys')
        .set({ state: 'destroyed', wrapped: null, updated_at: at })
        .where('id', '=', keyId)
        .execute()
      keys.forget()
      return
    }
    if (keyId === (await provider.current()))
      throw inUse(`${keyId} is the current key-encryption key`, 'Rotate first: ecokit vault rotate')
    const { count } = await db
      .selectFrom('vault_keys')
      .select((expression) => expression.fn.countAll<number>().as('count'))
      .where('kek_id', '=', keyId)
      .where('state', '<>', 'destroyed')
      .executeTakeFirstOrThrow()
    if (count > 0)
      throw inUse(
        `${count} data keys are wrapped by ${keyId}, those of all tenants counted`,
        'Rotate each tenant first',
      )
    if (provider.destroy === undefined)
      throw integrationError('unsupported', {
        what: `keys of the ${provider.kind} provider are destroyed where they are kept`,
        next: `Nothing in this vault needs ${keyId}: take it out there`,
        details: { what: 'destroying a key' },
      })
    if (!(await provider.destroy(keyId)))
      throw integrationError('not_found', {
        what: `this vault has no key ${keyId}`,
        next: 'See them with: ecokit vault status',
        details: {},
      })
  })
