import type { Store } from '@ecokit/store'
import type { KeyProvider, VaultStatus } from './types.ts'

/** What may be said about a vault without opening anything. */
export const statusOf = async (
  { db }: Store,
  tenant: string,
  provider: KeyProvider,
  maxUses: number,
): Promise<VaultStatus> => {
  const count = async (kind: 'secret' | 'token'): Promise<number> => {
    const { names } = await db
      .selectFrom('vault_records')
      .select(({ fn }) => fn.countAll<number>().as('names'))
      .where('tenant', '=', tenant)
      .where('kind', '=', kind)
      .where('active', '=', 1)
      .executeTakeFirstOrThrow()
    return names
  }
  const rows = await db
    .selectFrom('vault_keys')
    .leftJoin('vault_records', 'vault_records.key_id', 'vault_keys.id')
    .select(({ fn }) => [
      'vault_keys.id as id',
      'vault_keys.state as state',
      'vault_keys.kek_id as kek',
      'vault_keys.uses as uses',
      'vault_keys.created_at as created',
      fn.count<number>('vault_records.key_id').as('records'),
    ])
    .where('vault_keys.tenant', '=', tenant)
    .groupBy('vault_keys.id')
    .orderBy('vault_keys.created_at', 'desc')
    .orderBy('vault_keys.id')
    .execute()
  return {
    tenant,
    secrets: await count('secret'),
    tokens: await count('token'),
    keyEncryptionKey: { provider: provider.kind, current: await provider.current() },
    dataKeys: rows.map(({ id, state, kek, uses, created, records }) => ({
      id,
      state,
      keyEncryptionKey: kek,
      uses,
      records,
      createdAt: created,
    })),
    maxUses,
  }
}
