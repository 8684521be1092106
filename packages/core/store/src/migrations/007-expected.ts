import type { Kysely } from 'kysely'
import type { Database } from '../schema.ts'

/** How much a pass over everything of a stream will read, as far as the one before can tell. */
export const expected = async ({ schema }: Kysely<Database>): Promise<void> => {
  await schema.alterTable('flow_state').addColumn('whole_read', 'bigint').execute()
  await schema.alterTable('run_streams').addColumn('expected', 'bigint').execute()
}
