import { setImmediate } from 'node:timers/promises'
import { integrationError } from '@ecokit/contracts'
import { locked, type Store } from '@ecokit/store'
import { beginning, body, hashOf, parseEntry, start } from './entry.ts'
import { type HeadText, markOf, readHead, writeHead } from './heads.ts'
import type { AuditEntry, NewEntry, Signer, Verifier } from './types.ts'

/** How many entries go into one transaction at most. */
const together = 500

type Transaction = Parameters<Parameters<typeof locked>[1]>[0]

interface Waiting {
  readonly body: string
  readonly done: (entry: AuditEntry) => void
  readonly failed: (error: unknown) => void
}
interface Standing {
  readonly position: number
  readonly hash: string
  readonly since: number
  readonly signed: number
  readonly marks: string
}

const refuse = (what: string): never => {
  throw integrationError('conflict', {
    what: `nothing more can be written into the audit log: ${what}`,
    next: 'Verify the log, and keep the file as evidence',
    details: {},
  })
}

/** Appends entries to the chain, several in one transaction where they come together. `onHead` is told each head after it is on the disk. */
export const openWriter = ({
  store,
  sign,
  trust,
  now,
  headEvery,
  onHead,
}: {
  readonly store: Store
  readonly sign: Signer | undefined
  readonly trust: readonly Verifier[]
  readonly now: () => number
  readonly headEvery: number
  readonly onHead: (head: HeadText) => void
}): ((entry: NewEntry) => Promise<AuditEntry>) => {
  const waiting: Waiting[] = []
  let writing = false
  /** The last head that this process wrote itself, and of which entry: it need not be checked, and the log never ends before it. */
  let own: (HeadText & { readonly position: number }) | undefined

  /** A head that was forged must not be built upon: signing the next one would make the forgery genuine. */
  const standing = async (db: Transaction): Promise<Standing> => {
    const newest = await db
      .selectFrom('audit_newest')
      .select(['head', 'marks', 'signature'])
      .where('id', '=', 1)
      .executeTakeFirst()
    if (newest === undefined) {
      const left = await db.selectFrom('audit_entries').select('position').limit(1).executeTakeFirst()
      if (left !== undefined) refuse('its newest head is gone')
      if (own !== undefined) refuse(`it is empty, and entry ${own.position} was written already`)
      return { position: 0, hash: start, since: 0, signed: 0, marks: '' }
    }
    const mine = newest.head === own?.head && newest.marks === own.marks && newest.signature === own.signature
    const read = readHead(newest, mine ? [] : trust)
    if ('fault' in read) return refuse(`its newest head ${read.fault}`)
    const { position, hash, since, signed, kept, key } = read.facts
    if (own !== undefined && position < own.position)
      refuse(`it ends with entry ${position}, and entry ${own.position} was written already`)
    if (key !== '' && sign === undefined)
      throw integrationError('invalid_config', {
        what: 'the audit log is signed, and the key that signs it is not here, so nothing was done that would have to be written down',
        next: 'Give this process the key that the others have (ECOKIT_KEY, ECOKIT_KEY_FILE, or the key file where it was), and do it again',
        details: { field: 'key' },
      })
    if (key === '' && sign !== undefined && own !== undefined)
      refuse('its newest head is not signed, and earlier ones are')
    if (key === '' && sign !== undefined) {
      const signed = await db
        .selectFrom('audit_heads')
        .select('head')
        .where('head', 'not like', '%"key":"",%')
        .limit(1)
        .executeTakeFirst()
      if (signed !== undefined) refuse('its newest head is not signed, and earlier ones are')
    }
    return kept
      ? { position, hash, signed, since: position, marks: '' }
      : { position, hash, signed, since, marks: newest.marks }
  }

  const write = async (batch: readonly Waiting[]): Promise<readonly AuditEntry[]> => {
    const written = await locked(store.db, async (db) => {
      const from = await standing(db)
      let { position, hash } = from
      let marks = from.marks
      const rows = batch.map((one) => {
        position += 1
        const entry = beginning(position, hash) + one.body
        hash = hashOf(entry)
        marks += markOf(hash)
        return { position, entry }
      })
      await db.insertInto('audit_entries').values(rows).execute()
      const kept = position - from.since >= headEvery
      const signed = from.signed > 0 || sign === undefined ? from.signed : from.position + 1
      const head = writeHead({ position, hash, at: now(), signed, since: from.since, kept }, marks, sign)
      if (kept)
        await db
          .insertInto('audit_heads')
          .values({ position, ...head })
          .execute()
      await db
        .insertInto('audit_newest')
        .values({ id: 1, ...head })
        .onConflict((conflict) => conflict.column('id').doUpdateSet({ ...head }))
        .execute()
      return { rows, head: { ...head, position } }
    })
    own = written.head
    onHead(written.head)
    return written.rows.map(({ entry }) => parseEntry(entry))
  }

  const drain = async (): Promise<void> => {
    writing = true
    while (waiting.length > 0) {
      // Whatever comes in the same turn of the event loop goes into the same transaction.
      await setImmediate()
      const batch = waiting.splice(0, together)
      try {
        const entries = await write(batch)
        entries.forEach((entry, index) => batch[index]?.done(entry))
      } catch (error) {
        for (const { failed } of batch) failed(error)
      }
    }
    writing = false
  }

  return async (entry) => {
    const text = body(entry, now())
    const written = new Promise<AuditEntry>((done, failed) => {
      waiting.push({ body: text, done, failed })
    })
    if (!writing) void drain()
    return written
  }
}
