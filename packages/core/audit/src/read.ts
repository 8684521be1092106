import { integrationError } from '@ecokit/contracts'
import { joined, type Store } from '@ecokit/store'
import type { FoundEntry, Page } from './check.ts'
import { parseEntry } from './entry.ts'
import type { HeadText } from './heads.ts'
import type { AuditEntry, ListOptions } from './types.ts'

const pageSize = 1000
const most = 1000

/** How far the log goes now, in one look. */
export const readEnd = async (
  db: Store['db'],
): Promise<{
  readonly newest: HeadText | undefined
  readonly first: number
  readonly last: number
  readonly lastHead: number
}> => {
  const newest = db.selectFrom('audit_newest').where('id', '=', 1)
  const row = await db
    .selectNoFrom((select) => [
      newest.select('head').as('head'),
      newest.select('marks').as('marks'),
      newest.select('signature').as('signature'),
      select
        .selectFrom('audit_entries')
        .select(({ fn }) => fn.min<number>('position').as('first'))
        .as('first'),
      select
        .selectFrom('audit_entries')
        .select(({ fn }) => fn.max<number>('position').as('last'))
        .as('last'),
      select
        .selectFrom('audit_heads')
        .select(({ fn }) => fn.max<number>('position').as('last'))
        .as('lastHead'),
    ])
    .executeTakeFirstOrThrow()
  const { head, marks, signature, first, last, lastHead } = row
  return {
    newest: head === null ? undefined : { head, marks: marks ?? '', signature: signature ?? '' },
    first: first ?? 1,
    last: last ?? 0,
    lastHead: lastHead ?? 0,
  }
}

const positionOf = (newest: HeadText | undefined): number => {
  try {
    const { position } = JSON.parse(newest?.head ?? '{}') as { position?: unknown }
    return typeof position === 'number' ? position : Infinity
  } catch {
    return Infinity
  }
}

/** One stretch by position: what lies after `after`, up to `to`. */
const readPage = async (db: Store['db'], after: number, to: number): Promise<Page & { readonly full: boolean }> => {
  const bounded = Math.min(to, Number.MAX_SAFE_INTEGER)
  const entries = db.selectFrom('audit_entries').where('position', '>', after).orderBy('position')
  const span = Math.min(pageSize, bounded - after)
  // Positions are whole numbers, and no text of ours has a line end: as many lines as there is room for are the entries of every one of them. One row is read in half the time of a thousand.
  const whole = await db
    .selectFrom(
      entries
        .select('entry')
        .where('position', '<=', after + span)
        .as('page'),
    )
    .select(({ fn }) => [fn.count<number>('entry').as('count'), joined('entry').as('text')])
    .executeTakeFirstOrThrow()
  const texts = whole.count === span ? (whole.text ?? '').split('\n') : []
  const found: readonly FoundEntry[] =
    texts.length === span
      ? texts.map((entry) => ({ entry }))
      : await entries.select(['position', 'entry']).where('position', '<=', bounded).limit(pageSize).execute()
  const full = found.length === pageSize
  const last = found.at(-1)?.position ?? after + found.length
  const heads = await db
    .selectFrom('audit_heads')
    .select(['position', 'head', 'marks', 'signature'])
    .where('position', '>', after)
    .where('position', '<=', full ? last : bounded)
    .orderBy('position')
    .execute()
  return { after, last, entries: found, heads, full }
}

/** The whole log, while others append: up to the newest head of the moment, and again until nothing has come since. */
export async function* readPages(db: Store['db']): AsyncGenerator<Page> {
  let after = 0
  let end = await readEnd(db)
  for (;;) {
    const to = positionOf(end.newest)
    for (;;) {
      const { full, ...page } = await readPage(db, after, to)
      yield page
      after = page.last
      if (!full) break
    }
    end = await readEnd(db)
    if (to === Infinity || positionOf(end.newest) <= to) {
      after = to === Infinity ? after : to
      break
    }
    // Everything up to that head was read, whether it was there or not.
    after = to
  }
  // What lies beyond the newest head was there when the head was read: nobody wrote it meanwhile.
  const beyond = Math.max(end.last, end.lastHead)
  for (;;) {
    const { full, ...page } = await readPage(db, after, beyond)
    after = page.last
    if (!full) {
      yield { ...page, end: { newest: end.newest, stray: end.first < 1 ? end.first : undefined } }
      return
    }
    yield page
  }
}

export const listEntries = async (db: Store['db'], options: ListOptions): Promise<readonly AuditEntry[]> => {
  const { limit = 100, before, from, to } = options
  let query = db
    .selectFrom('audit_entries')
    .select(['position', 'entry'])
    .orderBy('position', 'desc')
    .limit(Math.max(1, Math.min(most, limit)))
  if (before !== undefined) query = query.where('position', '<', before)
  if (from !== undefined) query = query.where('at', '>=', from)
  if (to !== undefined) query = query.where('at', '<', to)
  for (const name of ['tenant', 'actor', 'action', 'target', 'outcome'] as const) {
    const value = options[name]
    if (value !== undefined) query = query.where(name, '=', value)
  }
  const rows = await query.execute()
  return rows.map(({ position, entry }) => {
    try {
      return parseEntry(entry)
    } catch {
      throw integrationError('conflict', {
        what: `entry ${position} of the audit log cannot be read: somebody changed it`,
        next: 'Verify the log, and keep the file as evidence',
        details: {},
      })
    }
  })
}
