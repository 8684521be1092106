import { randomBytes } from 'node:crypto'
import { integrationError } from '@ecokit/contracts'
import { openDataKeys } from './data-keys.ts'
import { badInput, partnerOf } from './failures.ts'
import { locked } from './locked.ts'
import { openReads } from './reads.ts'
import { codeOf, guarded, openRecorder, requestOf } from './recorder.ts'
import { isSealed, openRecords } from './records.ts'
import { batchRows, destroyKey, rotate, whatToRotate } from './rotate.ts'
import {
  activateVersion,
  addVersion,
  checkName,
  checkValue,
  entriesOf,
  isWellFormed,
  removeVersions,
  seriesOf,
  versionOf,
} from './secrets.ts'
import { statusOf } from './status.ts'
import { openTokens } from './tokens.ts'
import { type Carried, checkPassphrase, openExport, sealExport } from './transfer.ts'
import type { Access, SecretName, Vault, VaultOptions } from './types.ts'

const mostUses = 2 ** 30
const everything: SecretName = { partner: '*', name: '*' }
const byConnections: Access = { actor: 'connections', reason: 'tokens of a partner' }

const checkAccess = ({ actor, reason }: Access): void => {
  if (actor.trim() === '') throw badInput('actor', 'an access to the vault names who it is')
  if (reason.trim() === '') throw badInput('reason', 'an access to the vault says why')
}

/** Opens the sealed secrets of one tenant. Throws `invalid_config` where there is no key, or not the one that the data keys are wrapped by; nothing is changed then. */
export const openVault = async ({
  store,
  keys: provider,
  audit,
  tenant = 'default',
  allow,
  now = store.now,
  random = randomBytes,
  freshMs = 1_000,
  auditWindowMs = 60_000,
  maxUses = mostUses,
}: VaultOptions): Promise<Vault> => {
  if (!(maxUses >= batchRows && maxUses <= mostUses))
    throw badInput('maxUses', `maxUses is from ${batchRows} to ${mostUses}`)
  if (tenant === '' || !isWellFormed(tenant)) throw badInput('tenant', 'a tenant has a name')
  const keys = openDataKeys({ store, keys: provider, tenant, now, random, maxUses })
  await keys.check()
  const records = openRecords(store, tenant, keys, random)
  const reads = openReads({ store, records, keys, freshMs, now })
  const recorder = openRecorder({ audit, allow, windowMs: auditWindowMs, now })
  const rotation = { store, tenant, keys, records, provider }
  let closed = false

  const request = (action: Parameters<typeof requestOf>[1], name: SecretName, access: Access) => {
    if (closed) throw integrationError('conflict', { what: 'the vault is closed', next: 'Open it again', details: {} })
    checkAccess(access)
    return requestOf(tenant, action, name, access)
  }
  /** Asked, written down, done; what was kept in memory of before is forgotten. */
  const act = async <T>(
    action: Parameters<typeof requestOf>[1],
    name: SecretName,
    access: Access,
    details: Readonly<Record<string, unknown>>,
    work: () => Promise<T>,
  ): Promise<T> => {
    try {
      return await guarded(recorder, request(action, name, access), details, work)
    } finally {
      reads.forget()
    }
  }

  const get: Vault['get'] = async (name, access, { version } = {}) => {
    const asked = request('get', name, access)
    const decided = recorder.ask(asked)
    if (decided !== undefined) await decided
    const which = version === undefined ? 'active' : String(version)
    let value: string
    try {
      value = reads.fast(name, version) ?? (await reads.read(name, version))
    } catch (error) {
      await recorder.repeated(asked, 'failed', `${which}: ${codeOf(error)}`)
      throw error
    }
    const written = recorder.repeated(asked, 'allowed', which)
    if (written !== undefined) await written
    return value
  }

  const sealedRows = () =>
    store.db
      .selectFrom('vault_records')
      .selectAll()
      .where('tenant', '=', tenant)
      .where('kind', '=', 'secret')
      .where('envelope', 'is not', null)
      .orderBy('partner')
      .orderBy('name')
      .orderBy('version', 'desc')
      .execute()

  const carry = async (): Promise<readonly Carried[]> => {
    const carried: Carried[] = []
    for (const { partner, name, version } of await sealedRows()) {
      const series = seriesOf({ partner, name })
      const found = await records.reading(async () =>
        (await records.rowsOf(series)).find((row) => row.version === version),
      )
      if (found === undefined) continue
      const { active, created_at } = found.row
      carried.unshift({ partner, name, active: active === 1, createdAt: created_at, value: found.value })
    }
    return carried
  }
  const bringIn = (carried: readonly Carried[], overwrite: boolean): Promise<number> => {
    for (const one of carried) {
      checkName(one)
      checkValue(one.value)
    }
    return records.sealing(Math.max(1, 2 * carried.length), async (sealing) => {
      const seen = new Set<string>()
      for (const one of carried) {
        const id = JSON.stringify([one.partner, one.name])
        if (!seen.has(id) && !overwrite && (await records.rowsOf(seriesOf(one), sealing.db)).some(isSealed))
          throw integrationError('conflict', {
            partner: partnerOf(one),
            what: `the vault has a secret "${one.name}" already; nothing was imported`,
            next: 'Say that existing secrets may get newer versions (overwrite), or remove it first',
            details: {},
          })
        seen.add(id)
        await addVersion(records, sealing, one, one.value, { active: one.active, at: one.createdAt })
      }
      return seen.size
    })
  }

  const close = async (): Promise<void> => {
    if (closed) return
    closed = true
    reads.forget()
    keys.forget()
    await recorder.close()
  }

  return {
    get,
    put: async (name, value, access, { stage = false } = {}) => {
      checkName(name)
      checkValue(value)
      return act('put', name, access, { staged: stage }, () =>
        records.sealing(2, (sealing) => addVersion(records, sealing, name, value, { active: !stage, at: now() })),
      )
    },
    list: (access) => act('list', everything, access, {}, async () => entriesOf(await sealedRows())),
    versions: (name, access) =>
      act('versions', name, access, {}, async () =>
        (await records.rowsOf(seriesOf(name))).filter(isSealed).map(versionOf),
      ),
    remove: (name, access, { version } = {}) =>
      act('remove', name, access, { version: version ?? 'all' }, () =>
        locked(store, (db) => removeVersions(records, db, name, version)),
      ),
    activate: (name, version, access) =>
      act('activate', name, access, { version }, () => activateVersion(records, name, version)),
    rotate: (options, access) => {
      const { keyEncryptionKey, dataKeys } = whatToRotate(options)
      return act('rotate', everything, access, { keyEncryptionKey, dataKeys }, () => rotate(rotation, options))
    },
    destroyKey: (keyId, access) =>
      act('destroyKey', everything, access, { keyId }, () => destroyKey(rotation, keyId, now())),
    status: () => statusOf(store, tenant, provider, maxUses),
    export: async (passphrase, access) => {
      checkPassphrase(passphrase)
      return act('export', everything, access, {}, async () => sealExport(await carry(), passphrase))
    },
    import: (document, passphrase, access, { overwrite = false } = {}) =>
      act('import', everything, access, { overwrite }, async () =>
        bringIn(await openExport(document, passphrase), overwrite),
      ),
    tokens: (shared, access = byConnections) =>
      openTokens(store, records, shared, now, async (action, { partner, name }, work) => {
        const asked = request(action, { partner, name }, access)
        await recorder.ask(asked)
        // Written down before a write is done, and before a read is answered.
        if (action === 'token.write') await recorder.repeated(asked, 'allowed', '-')
        try {
          const done = await work()
          if (action === 'token.read') await recorder.repeated(asked, 'allowed', '-')
          return done
        } catch (error) {
          await recorder.repeated(asked, 'failed', codeOf(error))
          throw error
        }
      }),
    close,
    [Symbol.asyncDispose]: close,
  }
}
