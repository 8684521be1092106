// node vault.ts <variant> <count> <folder>: secrets of 200 bytes, opened again and again, or sealed anew under another key.
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openStore } from '@ecokit/store'
import { openAudit } from '@ecokit/audit'
import { boundTo, open, seal } from '../../packages/core/vault/src/envelope.ts'
import { environmentKeys, openVault, type Vault, type VaultOptions } from '@ecokit/vault'
import { sealExport } from '../../packages/core/vault/src/transfer.ts'
import { report } from './measure.ts'

const [variant = 'decrypt', counted = '100000', folder = ''] = process.argv.slice(2)
const count = Number(counted)
const secrets = 100
const value = 'v'.repeat(200)
const access = { actor: 'bench', reason: 'measuring' }
const nameOf = (index: number) => ({ partner: 'partner', name: `secret-${index % secrets}` })
const key = createSecretKey(randomBytes(32))
const passphrase = 'not a secret at all'

/** As short as it can be written in JavaScript: key and additional data are made once. */
const bareSeal = (bound: Uint8Array): Uint8Array => {
  const nonce = randomBytes(12)
  const encrypting = createCipheriv('aes-256-gcm', key, nonce)
  encrypting.setAAD(bound)
  return Buffer.concat([nonce, encrypting.update(value, 'utf8'), encrypting.final(), encrypting.getAuthTag()])
}
const bareOpen = (sealed: Uint8Array, bound: Uint8Array): string => {
  const decrypting = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
  decrypting.setAAD(bound)
  decrypting.setAuthTag(sealed.subarray(-16))
  return decrypting.update(sealed.subarray(12, -16), undefined, 'utf8') + decrypting.final('utf8')
}
const bounds = Array.from({ length: secrets }, (_, index) => Buffer.from(`default partner secret-${index} 1`))

/** Runs the body warm first, then measured. */
const spin = async (body: (index: number) => unknown, times = count): Promise<void> => {
  for (let index = 0; index < Math.min(times, 20_000); index++) await body(index)
  await report(async () => {
    for (let index = 0; index < times; index++) await body(index)
    return { count: times }
  })
}
/** The same without a promise for each turn: what a bare loop would do. */
const spinPlainly = async (body: (index: number) => string): Promise<void> => {
  let length = 0
  for (let index = 0; index < 20_000; index++) length += body(index).length
  await report(() => {
    for (let index = 0; index < count; index++) length += body(index).length
    return Promise.resolve({ count })
  })
  if (length === 0) throw new Error('nothing was read')
}

mkdirSync(folder, { recursive: true })
const file = join(folder, 'state.db')
const opened = async (
  options: Partial<VaultOptions>,
  audited: boolean,
  size = secrets,
): Promise<{ readonly vault: Vault; readonly close: () => Promise<void> }> => {
  const store = await openStore(file)
  const keys = environmentKeys('KEY', { KEY: randomBytes(32).toString('base64') })
  const audit = audited ? { audit: await openAudit({ store }) } : {}
  const vault = await openVault({ store, keys, allow: () => true, ...audit, ...options })
  const carried = Array.from({ length: size }, (_, index) => ({
    partner: 'partner',
    name: `secret-${index}`,
    active: true,
    createdAt: 1,
    value,
  }))
  await vault.import(await sealExport(carried, passphrase, 'scrypt'), passphrase, access)
  const close = async (): Promise<void> => {
    await vault.close()
    await store.close()
  }
  return { vault, close }
}
const reading = async (options: Partial<VaultOptions>, audited: boolean): Promise<void> => {
  const { vault, close } = await opened(options, audited)
  await spin((index) => vault.get(nameOf(index), access))
  await close()
}

/** Rows of sealed values in the smallest table that would do. */
const bareTable = (rows: number): DatabaseSync => {
  const database = new DatabaseSync(join(folder, 'bare.db'))
  database.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, sealed BLOB)',
  )
  const insert = database.prepare('INSERT INTO t (id, sealed) VALUES (?, ?)')
  database.exec('BEGIN')
  for (let index = 0; index < rows; index++) insert.run(index, bareSeal(bounds[index % secrets] ?? Buffer.of()))
  database.exec('COMMIT')
  return database
}

const variants: Readonly<Record<string, () => Promise<void>>> = {
  decrypt: () => {
    const sealed = bounds.map(bareSeal)
    return spinPlainly((index) =>
      bareOpen(sealed[index % secrets] ?? Buffer.of(), bounds[index % secrets] ?? Buffer.of()),
    )
  },
  open: () => {
    const id = randomBytes(16).toString('hex')
    const sealed = bounds.map((_, index) => {
      const place = {
        tenant: 'default',
        kind: 'secret' as const,
        ...nameOf(index),
        version: 1,
        active: 1,
        created_at: 1,
        expires_at: null,
      }
      return { place, envelope: seal(key, id, randomBytes(12), place, value) }
    })
    return spinPlainly((index) => {
      const one = sealed[index % secrets]
      return one === undefined ? '' : open(key, one.envelope, boundTo(one.place, one.envelope))
    })
  },
  default: () => reading({}, false),
  'default-audited': () => reading({}, true),
  database: () => reading({ freshMs: 0 }, false),
  'database-audited': () => reading({ freshMs: 0 }, true),
  'audited-each': () => reading({ auditWindowMs: 0 }, true),
  'bare-database': async () => {
    const database = bareTable(secrets)
    const select = database.prepare('SELECT sealed FROM t WHERE id = ?')
    await spinPlainly((index) => {
      const row = select.get(index % secrets)
      return bareOpen(row?.['sealed'] as Uint8Array, bounds[index % secrets] ?? Buffer.of())
    })
    database.close()
  },
  reencrypt: async () => {
    const sealed = Array.from({ length: count }, (_, index) => bareSeal(bounds[index % secrets] ?? Buffer.of()))
    await report(() => {
      for (let index = 0; index < count; index++) {
        const bound = bounds[index % secrets] ?? Buffer.of()
        bareOpen(sealed[index] ?? Buffer.of(), bound)
        sealed[index] = bareSeal(bound)
      }
      return Promise.resolve({ count })
    })
  },
  'reencrypt-database': async () => {
    const database = bareTable(count)
    const select = database.prepare('SELECT id, sealed FROM t WHERE id >= ? ORDER BY id LIMIT 100')
    const update = database.prepare('UPDATE t SET sealed = ? WHERE id = ?')
    await report(() => {
      for (let from = 0; from < count; from += 100) {
        database.exec('BEGIN IMMEDIATE')
        for (const row of select.all(from)) {
          const id = Number(row['id'])
          const bound = bounds[id % secrets] ?? Buffer.of()
          bareOpen(row['sealed'] as Uint8Array, bound)
          update.run(bareSeal(bound), id)
        }
        database.exec('COMMIT')
      }
      return Promise.resolve({ count })
    })
    database.close()
  },
  rotate: async () => {
    const { vault, close } = await opened({}, false, count)
    await report(async () => {
      const { dataKeys } = await vault.rotate({ dataKeys: true }, access)
      return { count: dataKeys?.moved ?? 0 }
    })
    await close()
  },
}
const run = variants[variant]
if (run === undefined) throw new Error(`no variant ${variant}`)
await run()
