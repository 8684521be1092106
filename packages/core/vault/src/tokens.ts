import type { Shared } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import { locked } from './locked.ts'
import { isSealed, type Records, type SealedRow, type Series } from './records.ts'

/** The partner of a key `tokens/<partner>/…`; whatever else is `*`. */
export const partnerOfKey = (key: string): string => {
  const [first, partner] = key.split('/')
  return first === 'tokens' && partner !== undefined && partner !== '' ? partner : '*'
}
const seriesOf = (key: string): Series => ({ kind: 'token', partner: partnerOfKey(key), name: key })

/** `Shared` whose values are sealed rows; `asked` runs before each access and `told` after it. */
export const openTokens = (
  store: Store,
  records: Records,
  shared: Shared,
  now: () => number,
  access: <T>(action: 'token.read' | 'token.write', series: Series, work: () => Promise<T>) => Promise<T>,
): Shared => {
  const rowOf = async (series: Series, db?: Pick<Store['db'], 'selectFrom'>): Promise<SealedRow | undefined> =>
    (await records.rowsOf(series, db))[0]
  const isThere = (row: SealedRow): boolean => isSealed(row) && (row.expires_at === null || row.expires_at > now())
  const at = ({ tenant }: Records, { kind, partner, name }: Series, version: number) => ({
    tenant,
    kind,
    partner,
    name,
    version,
  })
  return {
    get: (key) => {
      const series = seriesOf(key)
      return access('token.read', series, async () => {
        const found = await records.reading(() => rowOf(series))
        if (found === undefined || !isThere(found.row)) return undefined
        return { value: found.value, version: found.row.version }
      })
    },
    put: (key, value, { expected, expiresAt = Infinity } = {}) => {
      const series = seriesOf(key)
      return access('token.write', series, () =>
        records.sealing(1, async ({ db, seal }) => {
          const row = await rowOf(series, db)
          const there = row !== undefined && isThere(row) ? row.version : 0
          if (expected !== undefined && expected !== there) return false
          // Numbers go on over a delete or an expiry: an old version is never taken for a new one.
          const place = {
            ...at(records, series, (row?.version ?? 0) + 1),
            active: 1,
            created_at: now(),
            expires_at: expiresAt === Infinity ? null : Math.ceil(expiresAt),
          }
          const written = { ...place, ...seal(place, value) }
          if (row === undefined) await db.insertInto('vault_records').values(written).execute()
          else {
            const { tenant, kind, partner, name, version } = at(records, series, row.version)
            await db
              .updateTable('vault_records')
              .set(written)
              .where('tenant', '=', tenant)
              .where('kind', '=', kind)
              .where('partner', '=', partner)
              .where('name', '=', name)
              .where('version', '=', version)
              .execute()
          }
          return true
        }),
      )
    },
    delete: (key) => {
      const { kind, partner, name } = seriesOf(key)
      return access('token.write', { kind, partner, name }, () =>
        locked(store, async (db) => {
          await db
            .updateTable('vault_records')
            .set({ envelope: null, key_id: '', active: 0 })
            .where('tenant', '=', records.tenant)
            .where('kind', '=', kind)
            .where('partner', '=', partner)
            .where('name', '=', name)
            .execute()
        }),
      )
    },
    lease: (key, holder, ttlMs) => shared.lease(key, holder, ttlMs),
    release: (key, holder) => shared.release(key, holder),
    reserve: (key, rate, count, maxWaitMs) => shared.reserve(key, rate, count, maxWaitMs),
    hold: (key, until) => shared.hold(key, until),
  }
}
