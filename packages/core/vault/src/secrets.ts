import { integrationError } from '@ecokit/contracts'
import { maxValueBytes } from './envelope.ts'
import { badInput, missing, partnerOf } from './failures.ts'
import type { Transaction } from './locked.ts'
import { isSealed, type Records, type SealedRow, type Sealing, type Series } from './records.ts'
import type { SecretEntry, SecretName, SecretVersion } from './types.ts'

/** Half of a surrogate pair does not survive UTF-8. */
export const isWellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text)

export const checkName = ({ partner, name }: SecretName): void => {
  if (!/^[\p{L}\p{N}][\p{L}\p{N}._/-]{0,127}$/u.test(name))
    throw badInput(
      'name',
      'the name of a secret is 1 to 128 letters, digits, and . _ - / and begins with a letter or digit',
    )
  if (partner === '' || partner.length > 256 || !isWellFormed(partner))
    throw badInput('partner', 'the partner of a secret is its name, or * for any')
}
export const checkValue = (value: string): void => {
  if (value === '') throw badInput('value', 'a secret may not be empty')
  if (!isWellFormed(value)) throw badInput('value', 'a secret has to be text; encode bytes as base64')
  if (Buffer.byteLength(value) > maxValueBytes)
    throw integrationError('too_large', {
      what: `a secret of more than ${maxValueBytes} bytes`,
      details: { limit: maxValueBytes },
    })
}

export const seriesOf = ({ partner, name }: SecretName): Series => ({ kind: 'secret', partner, name })

const placeOf = ({ kind, partner, name, version, active, created_at, expires_at }: SealedRow) => ({
  kind,
  partner,
  name,
  version,
  active,
  created_at,
  expires_at,
})

/** Seals a row anew with another `active`, which is bound to the envelope so that nobody can switch versions in the database. */
const setActive = async ({ write, open }: Sealing, row: SealedRow, active: number): Promise<void> =>
  write({ ...placeOf(row), active }, open(row))

/** The version that was active steps back; a damaged one keeps its envelope, which opens nowhere anyway. */
const stepBack = async (sealing: Sealing, rows: readonly SealedRow[]): Promise<void> => {
  for (const row of rows.filter(({ active }) => active === 1))
    try {
      await setActive(sealing, row, 0)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'invalid_data')) throw error
      await atRow(sealing.db.updateTable('vault_records').set({ active: 0 }), row).execute()
    }
}

interface WhereBuilder<Q> {
  where(column: 'tenant' | 'kind' | 'partner' | 'name' | 'version', operator: '=', value: string | number): Q
}
/** Narrows a statement to one row. */
const atRow = <Q extends WhereBuilder<Q>>(query: Q, row: SealedRow): Q =>
  query
    .where('tenant', '=', row.tenant)
    .where('kind', '=', row.kind)
    .where('partner', '=', row.partner)
    .where('name', '=', row.name)
    .where('version', '=', row.version)

/** Adds a version inside a transaction that has booked two uses for it. */
export const addVersion = async (
  records: Records,
  sealing: Sealing,
  name: SecretName,
  value: string,
  { active, at }: { readonly active: boolean; readonly at: number },
): Promise<number> => {
  const rows = await records.rowsOf(seriesOf(name), sealing.db)
  const version = (rows[0]?.version ?? 0) + 1
  if (active) await stepBack(sealing, rows)
  await sealing.write({ ...seriesOf(name), version, active: active ? 1 : 0, created_at: at, expires_at: null }, value)
  for (const row of rows.filter((other) => !isSealed(other)))
    await atRow(sealing.db.deleteFrom('vault_records'), row).execute()
  return version
}

export const activateVersion = (records: Records, name: SecretName, version: number): Promise<void> =>
  records.sealing(2, async (sealing) => {
    const rows = await records.rowsOf(seriesOf(name), sealing.db)
    const row = rows.find((one) => one.version === version && isSealed(one))
    if (row === undefined) throw missing(name, version)
    if (row.active === 1) return
    await stepBack(sealing, rows)
    await setActive(sealing, row, 1)
  })

const removeRow = async (db: Transaction, row: SealedRow, newest: boolean): Promise<void> => {
  // The newest stays as an empty row, so that its number is not given again.
  await (newest
    ? atRow(db.updateTable('vault_records').set({ envelope: null, key_id: '', active: 0 }), row).execute()
    : atRow(db.deleteFrom('vault_records'), row).execute())
}

/** Removes all versions, or one that is not active. */
export const removeVersions = async (
  records: Records,
  db: Transaction,
  name: SecretName,
  version: number | undefined,
): Promise<void> => {
  const rows = await records.rowsOf(seriesOf(name), db)
  const chosen = rows.filter((row) => isSealed(row) && (version === undefined || row.version === version))
  if (chosen.length === 0) throw missing(name, version)
  if (version !== undefined && chosen.some(({ active }) => active === 1))
    throw integrationError('conflict', {
      partner: partnerOf(name),
      what: `version ${version} of the secret "${name.name}" is the active one`,
      next: 'Activate another version first, or remove the secret with all its versions',
      details: {},
    })
  for (const row of rows)
    if (version === undefined || row.version === version) await removeRow(db, row, row === rows[0])
}

export const versionOf = ({ version, active, created_at }: SealedRow): SecretVersion => ({
  version,
  active: active === 1,
  createdAt: created_at,
})

/** Rows ordered by partner and name, newest version first, as one entry for each secret. */
export const entriesOf = (rows: readonly SealedRow[]): readonly SecretEntry[] => {
  const entries: (SecretName & { readonly versions: SecretVersion[] })[] = []
  for (const row of rows.filter(isSealed)) {
    const last = entries.at(-1)
    if (last?.partner === row.partner && last.name === row.name) last.versions.push(versionOf(row))
    else entries.push({ partner: row.partner, name: row.name, versions: [versionOf(row)] })
  }
  return entries
}
