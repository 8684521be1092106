import { integrationError } from '@ecokit/contracts'
import type { Database, Store } from '@ecokit/store'
import type { Transaction } from 'kysely'
import type { Ecosystem } from './ecosystem.ts'
import { toColumns } from './record.ts'

export interface FileChanges {
  readonly added: readonly string[]
  readonly changed: readonly string[]
  readonly removed: readonly string[]
}

/** Removes partners with their health history. */
export const removePartners = async (transaction: Transaction<Database>, names: readonly string[]): Promise<void> => {
  for (const name of names) {
    await transaction.deleteFrom('health_checks').where('partner', '=', name).execute()
    await transaction.deleteFrom('health_states').where('partner', '=', name).execute()
    await transaction.deleteFrom('partners').where('name', '=', name).execute()
  }
}

/** Makes the rows of the file's partners be what the file says; throws `conflict`, and changes nothing, when a name is taken by a partner of the API. */
export const syncPartners = async (store: Store, ecosystem: Ecosystem, at: number): Promise<FileChanges> =>
  store.db.transaction().execute(async (transaction) => {
    const rows = new Map((await transaction.selectFrom('partners').selectAll().execute()).map((row) => [row.name, row]))
    const clashes = ecosystem.partners.filter(({ name }) => rows.get(name)?.origin === 'api').map(({ name }) => name)
    if (clashes.length > 0)
      throw integrationError('conflict', {
        what: clashes.map((name) => `partners.${name}: the API has registered a partner of this name`).join('\n'),
        next: `Rename it in ${ecosystem.filename}, or remove the other one through the API`,
        details: {},
      })
    const [added, changed]: [string[], string[]] = [[], []]
    for (const entry of ecosystem.partners) {
      const columns = toColumns(entry, 'file')
      const row: Readonly<Record<string, unknown>> | undefined = rows.get(entry.name)
      if (row === undefined) {
        added.push(entry.name)
        await transaction
          .insertInto('partners')
          .values({ ...columns, created_at: at, updated_at: at })
          .execute()
      } else if (Object.entries(columns).some(([column, value]) => row[column] !== value)) {
        changed.push(entry.name)
        await transaction
          .updateTable('partners')
          .set({ ...columns, updated_at: at })
          .where('name', '=', entry.name)
          .execute()
      }
    }
    const kept = new Set(ecosystem.partners.map(({ name }) => name))
    const removed = [...rows.values()]
      .filter(({ name, origin }) => origin === 'file' && !kept.has(name))
      .map(({ name }) => name)
    await removePartners(transaction, removed)
    return { added, changed, removed }
  })
