import type { Kysely } from 'kysely'
import type { Database } from '../schema.ts'

/** How calls to a partner are paced and protected, where its entry says something about it. */
export const partnerPolicy = async ({ schema }: Kysely<Database>): Promise<void> => {
  await schema.alterTable('partners').addColumn('policy', 'text').execute()
}
