import { hash as digest } from 'node:crypto'
import { beginning, linkAt, start } from './entry.ts'
import { type HeadFacts, type HeadText, markLength, markOf, type ReadHead, readHead } from './heads.ts'
import type { Fault, Verdict, Verifier } from './types.ts'

/** An entry as it is found; nothing about it is taken for granted. Without a position, it stands right after the one before. */
export interface FoundEntry {
  readonly position?: number
  readonly entry: unknown
}
/** A stretch of the log: entries by position, and the kept heads among them. */
export interface Page {
  /** The position before its first entry, and that of its last. */
  readonly after: number
  readonly last: number
  readonly entries: readonly FoundEntry[]
  readonly heads: readonly (HeadText & { readonly position: number })[]
  /** Only in the last page: the newest head, an entry that stands before the first, and whether the end itself is missing. */
  readonly end?: { readonly newest: HeadText | undefined; readonly stray?: number | undefined; readonly cut?: boolean }
}
export interface Checked {
  readonly entries: number
  readonly newest: HeadFacts | undefined
}
type Failure = Extract<Verdict, { ok: false }>
export type Result = { readonly ok: true; readonly checked: Checked } | Failure

/** Hashes since the last kept head are held, to tell which entry a head contradicts; not more than this, whatever became of the heads. */
const heldAtMost = 20_000

const failure = (position: number, kind: Fault, what: string): Failure => ({ ok: false, position, kind, what })
/** Adds the hashes of the entries from `index` on, up to `stop` or to the first that does not follow the one before; says which that is. A million times: so it has no other work. */
const follow = (
  entries: readonly FoundEntry[],
  index: number,
  stop: number,
  n: number,
  previous: string,
  hashes: string[],
): number => {
  let link = linkAt(n + 1)
  let moreDigitsAt = 10 ** (link - linkAt(0))
  for (; index < stop; index++) {
    n += 1
    if (n === moreDigitsAt * 10) {
      moreDigitsAt = n
      link += 1
    }
    const found = entries[index]
    if (found === undefined || (found.position !== undefined && found.position !== n)) break
    const { entry } = found
    if (typeof entry !== 'string' || !entry.startsWith(previous, link)) break
    previous = digest('sha256', entry)
    hashes.push(previous)
  }
  return index
}

const placed = ({ after, entries }: Page): { readonly position: number; readonly text: string }[] =>
  entries.map(({ position, entry }, index) => ({ position: position ?? after + index + 1, text: String(entry) }))

const markAt = ({ marks }: HeadText, { since }: HeadFacts, position: number): string =>
  marks.slice((position - since - 1) * markLength, (position - since) * markLength)

const sentences: Readonly<Record<Fault, (position: number) => string>> = {
  edited: (position) => `entry ${position} is not the one that was written`,
  removed: (position) => `entry ${position} is gone`,
  inserted: (position) => `entry ${position} was never written by this log`,
  reordered: (position) => `entry ${position} stands in another place`,
  truncated: (position) => `the log ends before entry ${position}, which was written`,
}

/** The place for which a text was written, where that is another one and no head knows better. */
const writtenFor = (
  text: string,
  position: number,
  covering: { readonly head: HeadText; readonly facts: HeadFacts } | undefined,
): number | undefined => {
  const stated = Number(/^\{"position":(\d+),/.exec(text)?.[1] ?? position)
  if (stated === position) return undefined
  if (covering === undefined || stated <= covering.facts.since || stated > covering.facts.position) return stated
  return markOf(digest('sha256', text)) === markAt(covering.head, covering.facts, stated) ? stated : undefined
}
/** The entry is gone: it stands elsewhere, or others follow, or nothing does. */
const kindOfGap = (elsewhere: number | undefined, more: boolean): Fault =>
  elsewhere !== undefined ? 'reordered' : more ? 'removed' : 'truncated'
/** Another stands in the place of an entry which is now right behind it, or further off, or gone. */
const kindOfChange = (position: number, elsewhere: number | undefined, other: number | undefined): Fault => {
  if (elsewhere === undefined) return other === undefined ? 'edited' : 'removed'
  const behind = elsewhere === position + 1 && other !== position + 1
  return behind || other === undefined ? 'inserted' : 'reordered'
}

/**
 * Follows the chain through the pages and stops at the first entry that is not as it was written. The chain alone shows that something is wrong; the signed
 * head after it shows which entry it was, where somebody computed the chain anew; and what stands further on shows what was done.
 */
export const check = async (
  pages: AsyncIterable<Page>,
  trust: readonly Verifier[],
  onPage: (entries: number) => void | Promise<void> = () => {},
): Promise<Result> => {
  const iterator = pages[Symbol.asyncIterator]()
  let n = 0
  let previous = start
  /** The hash before the first of `held`, which are those of the entries after `heldFrom`. */
  let base = start
  let heldFrom = 0
  let held: string[] = []
  let lastHead: HeadFacts | undefined
  let lastText = ''
  /** Kept heads of entries that did not come yet. */
  let ahead: Page['heads'] = []
  let isSigned = false

  const next = async (): Promise<Page | undefined> => {
    const step = await iterator.next()
    return step.done === true ? undefined : step.value
  }

  const hashAt = (position: number): string | undefined =>
    position === heldFrom ? base : held[position - heldFrom - 1]

  const read = (text: Partial<HeadText>): ReadHead => {
    const head = readHead(text, trust)
    if ('fault' in head) return head
    if (head.facts.key === '' && isSigned) return { fault: 'is not signed, and earlier ones are' }
    return head
  }

  /** The first entry from `from` to `to` that is not the one of which a genuine head keeps the mark. */
  const contradicted = (head: HeadText, facts: HeadFacts, to: number): number | undefined => {
    for (let position = Math.max(facts.since, heldFrom) + 1; position <= to; position++) {
      const found = hashAt(position)
      if (found !== undefined && markOf(found) !== markAt(head, facts, position)) return position
    }
    return undefined
  }

  /** Says what became of the log from `n + 1` on, or from a `known` entry before; `rest` is what was read and not yet looked at. */
  const diagnose = async (rest: Page, known?: number): Promise<Failure> => {
    const wrong = known ?? n + 1
    const buffered: { readonly position: number; readonly text: string }[] = []
    let position = wrong
    let atEnd = false
    let covering: { readonly head: HeadText; readonly facts: HeadFacts } | undefined
    // Forward to the head that covers it, which knows whether an entry before was changed.
    for (let page: Page | undefined = rest; page !== undefined && !atEnd; page = await next()) {
      buffered.push(...placed(page))
      atEnd = page.end !== undefined
      covering = [...page.heads, ...(page.end?.newest === undefined ? [] : [page.end.newest])]
        .flatMap((head) => {
          const found = read(head)
          return 'facts' in found && found.facts.since <= n ? [{ head, facts: found.facts }] : []
        })
        .at(0)
      if (covering !== undefined) {
        position = known ?? contradicted(covering.head, covering.facts, Math.min(n, covering.facts.position)) ?? wrong
        break
      }
      if (buffered.length > heldAtMost) break
    }
    /** Past the newest head, nothing was ever written. */
    const beyond = covering !== undefined && covering.facts.position < position
    const start = beginning(position, hashAt(position - 1) ?? previous)
    const here = position <= n ? undefined : buffered.find((one) => one.position === position)
    const findElsewhere = (found: typeof buffered): number | undefined =>
      found.find((one) => one.position !== position && one.text.startsWith(start))?.position
    let more = buffered.some((one) => one.position > position)
    let elsewhere = findElsewhere(buffered)
    while (elsewhere === undefined && !atEnd) {
      const page = await next()
      if (page === undefined) break
      more ||= page.entries.length > 0
      elsewhere = findElsewhere(placed(page))
      atEnd = page.end !== undefined
    }
    const missing = position > n && here === undefined
    const other = here && writtenFor(here.text, position, covering)
    const kind = beyond ? 'inserted' : missing ? kindOfGap(elsewhere, more) : kindOfChange(position, elsewhere, other)
    return failure(position, kind, sentences[kind](position))
  }

  /** What is wrong about a head or what it says of the entries just looked at; a number is the entry that it contradicts. */
  const meet = (text: HeadText, row: number | undefined): Failure | number | undefined => {
    const named = `the ${row === undefined ? 'newest head' : `head of entry ${row}`}`
    const found = read(text)
    if ('fault' in found) return failure(row ?? Math.max(1, n), 'edited', `${named} ${found.fault}`)
    const { facts } = found
    if (row !== undefined && (facts.position !== row || !facts.kept))
      return failure(Math.min(facts.position, row), 'edited', `${named} was put into this place`)
    const to = Math.min(n, facts.position)
    const other = to === facts.position && hashAt(to) === facts.hash ? undefined : contradicted(text, facts, to)
    if (other !== undefined) return other
    if (row === undefined && facts.position < n)
      return failure(facts.position + 1, 'inserted', sentences.inserted(facts.position + 1))
    if (facts.position > n) return failure(n + 1, 'truncated', sentences.truncated(n + 1))
    if (row === undefined && lastHead?.position === n)
      return text.head === lastText ? undefined : failure(n, 'edited', `${named} is not the one that was written`)
    if (facts.since !== (lastHead?.position ?? 0)) {
      const gone = facts.since > (lastHead?.position ?? 0)
      return failure(
        Math.max(1, facts.since),
        gone ? 'removed' : 'inserted',
        gone ? `the head of entry ${facts.since} is gone` : `${named} does not follow the one before`,
      )
    }
    if (facts.hash !== previous)
      return failure(
        facts.since + 1,
        'edited',
        `an entry from ${facts.since + 1} to ${n} is not the one that was written, and ${named} knows it`,
      )
    isSigned ||= facts.key !== ''
    lastHead = facts
    lastText = text.head
    return undefined
  }

  try {
    for (;;) {
      const page = await next()
      if (page === undefined) return failure(n + 1, 'truncated', `the log ends after entry ${n} without a head`)
      const { entries, end } = page
      const heads = [...ahead, ...page.heads]
      let head = 0
      const restFrom = (index: number): Page => ({
        ...page,
        after: n,
        entries: entries.slice(index),
        heads: heads.slice(head),
      })
      for (let index = 0; ;) {
        for (let row = heads[head]; row !== undefined && row.position <= n; row = heads[++head]) {
          const failed = meet(row, row.position)
          if (typeof failed === 'number') return await diagnose(restFrom(index), failed)
          if (failed !== undefined) return failed
          base = previous
          heldFrom = n
          held = []
        }
        if (index === entries.length) break
        const stop = Math.min(entries.length, index + (heads[head]?.position ?? Infinity) - n)
        const reached = follow(entries, index, stop, n, previous, held)
        n += reached - index
        previous = held.at(-1) ?? previous
        index = reached
        if (reached < stop) return await diagnose(restFrom(index))
      }
      if (held.length > heldAtMost) {
        heldFrom += held.length - 1
        base = held.at(-2) ?? base
        held = held.slice(-1)
      }
      await onPage(n)
      ahead = heads.slice(head)
      if (end === undefined) continue
      const late = heads[head]
      const missing = late === undefined ? undefined : meet(late, late.position)
      if (typeof missing === 'number') return await diagnose(restFrom(entries.length), missing)
      if (missing !== undefined) return missing
      if (end.newest === undefined && (n > 0 || end.cut === true))
        return failure(n + 1, 'truncated', `the newest head is gone: nobody can tell what followed entry ${n}`)
      const failed = end.newest === undefined ? undefined : meet(end.newest, undefined)
      if (typeof failed === 'number') return await diagnose(restFrom(entries.length), failed)
      if (failed !== undefined) return failed
      if (end.stray !== undefined) return failure(end.stray, 'inserted', sentences.inserted(end.stray))
      return { ok: true, checked: { entries: n, newest: lastHead } }
    }
  } finally {
    await iterator.return?.()
  }
}
