// node audit.ts <fill | create-hash | hash | verify | export | append> <entries> <folder>: an audit log is filled once, then verified again and again.
import { createHash, hash } from 'node:crypto'
import { join } from 'node:path'
import { openStore } from '@ecokit/store'
import { hmacSigner, type NewEntry, openAudit, verifyExport } from '@ecokit/audit'
import { report } from './measure.ts'

const [variant = 'verify', counted = '1000000', folder = ''] = process.argv.slice(2)
const count = Number(counted)
const sign = hmacSigner(Buffer.alloc(32, 1), 'bench')
const file = join(folder, 'audit.db')

const entryOf = (index: number): NewEntry => ({
  actor: `user/${index % 50}`,
  action: 'vault.get',
  target: `partner-${index % 100}/token`,
  outcome: 'allowed',
  reason: 'a call of the nightly run',
})
const open = async () => {
  const store = await openStore(file)
  return { store, audit: await openAudit({ store, sign }) }
}

const bare = async (link: (previous: string, text: string) => string): Promise<void> => {
  const { store } = await open()
  const rows = await store.db.selectFrom('audit_entries').select('entry').orderBy('position').limit(1000).execute()
  await store.close()
  const texts = rows.map(({ entry }) => entry.replace(/"previous":"\w+",/, ''))
  await report(() => {
    let previous = '0'.repeat(64)
    for (let index = 0; index < count; index++) previous = link(previous, texts[index % 1000] ?? '')
    if (previous.length !== 64) throw new Error('no hash')
    return Promise.resolve({ count })
  })
}

const variants: Readonly<Record<string, () => Promise<void>>> = {
  fill: async () => {
    const { store, audit } = await open()
    await report(async () => {
      for (let done = 0; done < count; done += 500)
        await Promise.all(
          Array.from({ length: Math.min(500, count - done) }, (_, index) => audit.append(entryOf(done + index))),
        )
      return { count }
    })
    await store.close()
  },
  /** One after the other: each waits until the one before is on the disk. */
  append: async () => {
    const { store, audit } = await open()
    await report(async () => {
      for (let index = 0; index < count; index++) await audit.append(entryOf(index))
      return { count }
    })
    await store.close()
  },
  /** The loop that everybody writes: the hash before and the text, from memory, and nothing is compared. */
  'create-hash': () => bare((previous, text) => createHash('sha256').update(previous).update(text).digest('hex')),
  /** The fastest that Node has. */
  hash: () => bare((previous, text) => hash('sha256', previous + text)),
  verify: async () => {
    const { store, audit } = await open()
    await report(async () => {
      const verdict = await audit.verify()
      if (!verdict.ok || verdict.entries !== count) throw new Error(JSON.stringify(verdict))
      return { count }
    })
    await store.close()
  },
  export: async () => {
    const { store, audit } = await open()
    await report(async () => {
      const verdict = await verifyExport(audit.export(), sign)
      if (!verdict.ok || verdict.entries !== count) throw new Error(JSON.stringify(verdict))
      return { count }
    })
    await store.close()
  },
}
await variants[variant]?.()
