/** What a finding of the proof is about: rows that are gone, rows that are there twice or read again, and everything else that is not as it should be. */
export type FindingKind = 'lost' | 'doubled' | 'corrupt'

const kinds: readonly (readonly [FindingKind, RegExp])[] = [
  ['doubled', /doubled|are read again/],
  [
    'lost',
    /lost|the read goes on|\d+ of \d+ rows|\d+ rows, the source has|of the last pass|the last pass is not there|is not as the source has it/,
  ],
]
/** The kind of a finding by its words; see torture.ts for these. */
export const kindOf = (finding: string): FindingKind =>
  kinds.find(([, pattern]) => pattern.test(finding))?.[0] ?? 'corrupt'

/** How many findings there are of each kind. */
export const countFindings = (findings: readonly string[]): Readonly<Record<FindingKind, number>> => {
  const counts = { lost: 0, doubled: 0, corrupt: 0 }
  for (const finding of findings) counts[kindOf(finding)] += 1
  return counts
}
