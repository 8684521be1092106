import type { KeyObject } from 'node:crypto'
import type { Store } from '@ecokit/store'
import type { DataKeys } from './data-keys.ts'
import { boundTo, open } from './envelope.ts'
import { missing } from './failures.ts'
import { keyOf, type Records, type SealedRow } from './records.ts'
import type { SecretName } from './types.ts'

/** A sealed record in memory: what is in the database, never the value. */
interface Kept {
  readonly row: SealedRow
  readonly envelope: Uint8Array
  readonly bound: Uint8Array
  readonly key: KeyObject
  readonly at: number
}
const keptRecords = 1_000

export interface Reads {
  /** From memory where that is fresh; undefined where the database has to be asked. */
  fast(name: SecretName, version: number | undefined): string | undefined
  /** From the database; the partner's own secret wins over the one of `*`. Throws `not_found`. */
  read(name: SecretName, version: number | undefined): Promise<string>
  /** After a change of ours. */
  forget(): void
}

export const openReads = ({
  store,
  records,
  keys,
  freshMs,
  now,
}: {
  readonly store: Store
  readonly records: Records
  readonly keys: DataKeys
  readonly freshMs: number
  readonly now: () => number
}): Reads => {
  const kept = new Map<string, Kept>()
  /** Counts changes of ours, so that what was read before one is not kept after it. */
  let changes = 0
  const keyFor = ({ partner, name }: SecretName, version: number | undefined): string =>
    // With a length, so that no two of them read alike.
    `${version ?? ''}\n${name.length}\n${name}\n${partner}`

  // Compiled once: building the statement costs more than running it.
  const select = (column: 'active' | 'version') =>
    store.db
      .selectFrom('vault_records')
      .selectAll()
      .where('tenant', '=', records.tenant)
      .where('kind', '=', 'secret')
      .where('partner', '=', '')
      .where('name', '=', '')
      .where(column, '=', 1)
      .compile()
  const byActive = select('active')
  const byVersion = select('version')
  const rowOf = async (partner: string, name: string, version: number | undefined): Promise<SealedRow | undefined> => {
    const compiled = version === undefined ? byActive : byVersion
    const { rows } = await store.db.executeQuery<SealedRow>({
      ...compiled,
      parameters: [records.tenant, 'secret', partner, name, version ?? 1],
    })
    return rows[0]
  }

  return {
    fast: (name, version) => {
      if (freshMs === 0) return undefined
      const id = keyFor(name, version)
      const known = kept.get(id)
      if (known === undefined) return undefined
      const age = now() - known.at
      // Below 0 the clock was put back, and nobody knows how old it is.
      if (age >= 0 && age < freshMs) return open(known.key, known.envelope, known.bound)
      kept.delete(id)
      return undefined
    },
    read: async (name, version) => {
      const since = changes
      const at = now()
      const found =
        (await records.reading(() => rowOf(name.partner, name.name, version))) ??
        (name.partner === '*' ? undefined : await records.reading(() => rowOf('*', name.name, version)))
      if (found === undefined) throw missing(name, version)
      const { row, value } = found
      const key = keys.kept(keyOf(row))
      if (freshMs > 0 && key !== undefined && row.envelope !== null && since === changes) {
        const oldest = kept.size < keptRecords ? undefined : kept.keys().next().value
        if (oldest !== undefined) kept.delete(oldest)
        const { envelope } = row
        kept.set(keyFor(name, version), { row, envelope, bound: boundTo(row, envelope), key, at })
      }
      return value
    },
    forget: () => {
      changes += 1
      kept.clear()
    },
  }
}
