/** How many letters must be added, removed, changed or swapped to make one word of the other (optimal string alignment). */
const distance = (from: string, to: string): number => {
  let before: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row += 1) {
    const next = [row]
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1]
      let best = Math.min(
        (last[column] ?? 0) + 1,
        (next[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      )
      if (row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1])
        best = Math.min(best, (before[column - 2] ?? 0) + 1)
      next.push(best)
    }
    before = last
    last = next
  }
  return last[to.length] ?? 0
}

const plain = (word: string): string => word.toLowerCase().replaceAll(/[-_]/g, '')

/** The known word that was probably meant; undefined when none is near. */
export const nearest = (word: string, known: readonly string[]): string | undefined => {
  if (word.length > 64) return undefined
  const near = word.length < 3 ? 0 : Math.max(1, Math.floor(word.length / 3))
  const ranked = known
    .map((candidate) => ({ candidate, far: distance(plain(word), plain(candidate)) }))
    .sort((left, right) => left.far - right.far)
  const best = ranked[0]
  return best !== undefined && best.far <= near ? best.candidate : undefined
}

/** A foreign word inside a message: quoted, without control characters, cut off at 60 characters. */
export const quote = (word: string): string => {
  const clean = word.replaceAll(/\p{Cc}/gu, '?')
  return `\`${clean.length > 60 ? `${clean.slice(0, 60)}…` : clean}\``
}

/** `a, b and c`, cut off after 12. */
export const listOf = (words: readonly string[]): string => {
  const shown = words.length > 12 ? [...words.slice(0, 12), `${words.length - 12} more`] : words
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1) ?? ''}`
}

/** ``unknown <kind> `word`; did you mean `x`?``, or the list of what there is. */
export const unknownWord = (kind: string, word: string, known: readonly string[], there: string): string => {
  const meant = nearest(word, known)
  if (meant !== undefined) return `unknown ${kind} ${quote(word)}; did you mean ${quote(meant)}?`
  return `unknown ${kind} ${quote(word)}; ${known.length === 0 ? `there are no ${there}` : `${there}: ${listOf(known)}`}`
}
