/** The target of the first link with rel="next" in a Link header (RFC 8288, section 3 and appendix B.2), as it is written there. */
export const nextLink = (header: string): string | undefined => {
  let at = 0
  const skip = (pattern: RegExp): string => {
    pattern.lastIndex = at
    const found = pattern.exec(header)?.[0] ?? ''
    at += found.length
    return found
  }
  while (at < header.length) {
    skip(/[\s,]*/y)
    const target = /^<([^>]*)>$/.exec(skip(/<[^>]*>/y))?.[1]
    let relation: string | undefined
    let anchored = false
    for (;;) {
      skip(/\s*/y)
      if (skip(/;/y) === '') break
      skip(/\s*/y)
      const name = skip(/[^\s=;,]*/y).toLowerCase()
      skip(/\s*/y)
      let value = ''
      if (skip(/=/y) !== '') {
        skip(/\s*/y)
        const quoted = skip(/"(?:[^"\\]|\\.)*"/y)
        value = quoted === '' ? skip(/[^\s;,]*/y) : quoted.slice(1, -1).replace(/\\(.)/g, '$1')
      }
      // Only the first rel counts, and a link with an anchor is about another resource.
      if (name === 'rel') relation ??= value
      if (name === 'anchor') anchored = true
    }
    if (target !== undefined && !anchored && relation?.toLowerCase().split(/\s+/).includes('next') === true)
      return target
    skip(/[^,]*/y)
  }
  return undefined
}
