import { jsonSchema } from '@ecokit/contracts'
import type { AnyConnection } from '@ecokit/contracts'
import type { StreamView } from './schemas.ts'

/** What can be read from a partner: the streams that its connector declares, and the tables that are there now. */
export const catalogOf = async (
  connection: AnyConnection,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<readonly StreamView[]> => {
  const declared = Object.entries(connection.manifest.streams ?? {}).map(
    ([name, { schema, primaryKey, cursor }]): StreamView => ({
      name,
      ...(primaryKey === undefined ? {} : { primaryKey }),
      ...(cursor === undefined ? {} : { cursor }),
      schema: jsonSchema(schema),
      modes: cursor === undefined ? ['full_refresh'] : ['full_refresh', 'incremental'],
      discovered: false,
    }),
  )
  const found = await Array.fromAsync(
    connection.discover?.(options) ?? [],
    ({ name, schema, primaryKey, fault }): StreamView => ({
      name,
      ...(primaryKey === undefined ? {} : { primaryKey }),
      schema,
      modes: fault === undefined ? ['full_refresh'] : [],
      discovered: true,
      ...(fault === undefined ? {} : { fault: { code: fault.code, message: fault.message } }),
    }),
  )
  return [...declared, ...found]
}
