import { integrationError } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import { check, type Page } from './check.ts'
import { hashOf } from './entry.ts'
import { toLines, verdictOf } from './export.ts'
import { type HeadFacts, type HeadText, readHead } from './heads.ts'
import { appendHead, outsideHeads } from './outside.ts'
import { listEntries, readEnd, readPages } from './read.ts'
import { stoppable } from './stop.ts'
import type { Audit, AuditOptions, Verdict, Verifier } from './types.ts'
import { openWriter } from './write.ts'

/** Compares the log with the heads that were written beside it. */
const compareOutside = async (
  { db }: Store,
  file: string,
  trust: readonly Verifier[],
  signal: AbortSignal | undefined,
): Promise<Verdict | undefined> => {
  let agreed = 0
  let first: { readonly facts: HeadFacts; readonly found: boolean } | undefined
  for await (const lines of stoppable(outsideHeads(file), signal)) {
    const heads = lines.flatMap((line) => {
      const read = readHead(line, [])
      return 'fault' in read ? [] : [{ line, facts: read.facts }]
    })
    const rows = await db
      .selectFrom('audit_entries')
      .select(['position', 'entry'])
      .where(
        'position',
        'in',
        heads.map(({ facts }) => facts.position),
      )
      .execute()
    const hashes = new Map(rows.map(({ position, entry }) => [position, hashOf(entry)]))
    for (const { line, facts } of heads) {
      const { position } = facts
      if (hashes.get(position) === facts.hash) {
        if (first === undefined || position < first.facts.position) agreed = Math.max(agreed, position)
        continue
      }
      const read = readHead(line, trust)
      if ('fault' in read)
        return { ok: false, position, kind: 'edited', what: `a head of entry ${position} in ${file} ${read.fault}` }
      if (first === undefined || position < first.facts.position) first = { facts, found: hashes.has(position) }
    }
  }
  if (first === undefined) return undefined
  const { position } = first.facts
  if (first.found) {
    const from = agreed + 1
    const which = from >= position ? `entry ${position}` : `an entry from ${from} to ${position}`
    return { ok: false, position: from, kind: 'edited', what: `${which} is not the one that ${file} vouches for` }
  }
  const { last } = await readEnd(db)
  return {
    ok: false,
    position: last + 1,
    kind: 'truncated',
    what: `the log ends before entry ${last + 1}, and ${file} knows of entry ${position}`,
  }
}

/** The audit log of a store. Nothing is read before it is first used. */
export const openAudit = ({
  store,
  sign,
  trust: others = [],
  now = store.now,
  headEvery = 512,
  headsFile = store.path === ':memory:' ? null : `${store.path}.audit-heads`,
}: AuditOptions): Promise<Audit> => {
  const trust: readonly Verifier[] = sign === undefined ? others : [sign, ...others]
  const onHead = (head: HeadText): void => {
    if (headsFile === null) return
    try {
      appendHead(headsFile, head)
    } catch (error) {
      throw integrationError('unavailable', {
        what: `the audit log could not write its head into ${headsFile}: ${String(error)}`,
        next: 'Check the rights of the file, and the disk',
        details: {},
      })
    }
  }
  const pages = (): AsyncGenerator<Page> => readPages(store.db)
  return Promise.resolve({
    append: openWriter({ store, sign, trust, now, headEvery, onHead }),
    list: (options = {}) => listEntries(store.db, options),
    verify: async ({ signal, onProgress } = {}) => {
      const { last } = await readEnd(store.db)
      const result = await check(stoppable(pages(), signal), trust, (entries) =>
        onProgress?.({ entries, of: Math.max(last, entries) }),
      )
      if (!result.ok) return result
      const outside = headsFile === null ? undefined : await compareOutside(store, headsFile, trust, signal)
      return outside ?? verdictOf(result.checked, trust)
    },
    export: () => toLines(pages()),
  })
}
