import { check, type Checked, type FoundEntry, type Page } from './check.ts'
import type { HeadText } from './heads.ts'
import { stoppable } from './stop.ts'
import type { Verdict, Verifier, VerifyOptions } from './types.ts'

// Every line is JSON. An entry's line is its text as it was hashed.
const entryStart = '{"position":'

/** The pages of a log as lines. */
export async function* toLines(pages: AsyncIterable<Page>): AsyncGenerator<string> {
  for await (const { after, entries, heads, end } of pages) {
    let head = 0
    const headLines = (upTo: number): string[] => {
      const lines: string[] = []
      for (let row = heads[head]; row !== undefined && row.position <= upTo; row = heads[++head])
        lines.push(
          JSON.stringify({ head: row.head, marks: row.marks, signature: row.signature, position: row.position }),
        )
      return lines
    }
    for (const [index, { position = after + index + 1, entry }] of entries.entries()) {
      yield* headLines(position - 1)
      yield String(entry)
    }
    yield* headLines(Infinity)
    if (end !== undefined) yield JSON.stringify({ newest: end.newest ?? null })
  }
}

type Line =
  FoundEntry | { readonly head: HeadText & { readonly position: number } } | { readonly newest: HeadText | null }

const readLine = (line: string): Line => {
  // What is no head is taken for an entry: it will not fit.
  if (line.startsWith(entryStart)) return { entry: line }
  try {
    const value = JSON.parse(line) as { newest?: HeadText | null } & HeadText & { readonly position: number }
    if (value.newest !== undefined) return { newest: value.newest }
    return typeof value.head === 'string' ? { head: value } : { entry: line }
  } catch {
    return { entry: line }
  }
}

async function* toPages(lines: AsyncIterable<string> | Iterable<string>): AsyncGenerator<Page> {
  let entries: FoundEntry[] = []
  let heads: (HeadText & { readonly position: number })[] = []
  let newest: HeadText | null | undefined
  let after = 0
  for await (const line of lines) {
    if (line === '') continue
    const found = readLine(line)
    if ('newest' in found) newest = found.newest
    else if ('head' in found) heads.push(found.head)
    else entries.push(found)
    if (entries.length < 1000) continue
    yield { after, last: after + entries.length, entries, heads }
    after += entries.length
    entries = []
    heads = []
  }
  yield {
    after,
    last: after + entries.length,
    entries,
    heads,
    end: { newest: newest ?? undefined, cut: newest === undefined },
  }
}

export const verdictOf = ({ entries, newest }: Checked, trust: readonly Verifier[]): Verdict => ({
  ok: true,
  entries,
  ...(newest === undefined ? {} : { headAt: newest.at }),
  ...(newest === undefined || newest.signed === 0 || trust.length === 0 ? {} : { signedFrom: newest.signed }),
})

/** Verifies the lines of `export()` without a database. Without a trusted key, signatures are not looked at; an export that was cut off has lost its newest head, and is refused. */
export const verifyExport = async (
  lines: AsyncIterable<string> | Iterable<string>,
  trust: Verifier | readonly Verifier[] = [],
  { signal, onProgress }: VerifyOptions = {},
): Promise<Verdict> => {
  const trusted = Array.isArray(trust) ? trust : [trust as Verifier]
  const result = await check(stoppable(toPages(lines), signal), trusted, (entries) => onProgress?.({ entries }))
  return result.ok ? verdictOf(result.checked, trusted) : result
}
