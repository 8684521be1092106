import { isUtf8 } from 'node:buffer'
import { fromJson } from '@ecokit/contracts'
import { isObjectValue, parseExact } from './parse.ts'
import type { Value } from './parse.ts'
import { textEnd } from './prove.ts'
import { skipBlank, valueEnd } from './skip.ts'

/** Where the records of a page lie. */
export interface Located {
  /** Behind the opening bracket of the list. */
  readonly from: number
  /** The page with an empty list in the place of the records; `end` is the index of the closing bracket. Throws PageError. */
  readonly envelope: (end: number) => unknown
}

/** Why a page cannot be read at all; its records are then unknown, which is not the same as none. */
export class PageError extends Error {}

const keyAt = (page: Uint8Array, start: number, end: number): string => {
  try {
    return JSON.parse(Buffer.from(page.buffer, page.byteOffset + start, end - start).toString('utf8')) as string
  } catch {
    throw new PageError('the page is not JSON')
  }
}

/** Finds the list of records at a path of keys; the page itself where the path is empty. Throws PageError. */
export const locate = (page: Uint8Array, path: readonly string[]): Located => {
  let at = skipBlank(page, 0)
  if (page[0] === 0xef && page[1] === 0xbb && page[2] === 0xbf)
    throw new PageError('the page begins with a byte order mark')
  for (const [depth, wanted] of path.entries()) {
    const where = path.slice(0, depth + 1).join('.')
    if (page[at] !== 123) throw new PageError(`there is no object that could hold ${where}`)
    let index = skipBlank(page, at + 1)
    let found = -1
    while (page[index] !== 125) {
      const behind = textEnd(page, index)
      if (behind < 0) throw new PageError('the page is not JSON')
      const key = keyAt(page, index, behind)
      index = skipBlank(page, behind)
      if (page[index] !== 58) throw new PageError('the page is not JSON')
      index = skipBlank(page, index + 1)
      if (key === wanted) {
        found = index
        break
      }
      index = valueEnd(page, index)
      if (index < 0) throw new PageError('the page is not JSON')
      index = skipBlank(page, index)
      if (page[index] === 44) index = skipBlank(page, index + 1)
      else if (page[index] !== 125) throw new PageError('the page is not JSON')
    }
    if (found < 0) throw new PageError(`the page has no ${where}`)
    at = found
  }
  if (page[at] !== 91)
    throw new PageError(`${path.length === 0 ? 'the page' : path.join('.')} is not a list of records`)
  const from = at + 1
  return {
    from,
    envelope: (end) => {
      const around = Buffer.concat([page.subarray(0, from), page.subarray(end)])
      if (!isUtf8(around)) throw new PageError('the page is not UTF-8')
      const text = around.toString('utf8')
      let value: Value
      try {
        value = parseExact(text)
      } catch {
        throw new PageError('the page is not JSON behind its records')
      }
      for (const key of path) {
        if (!isObjectValue(value)) break
        if (value.twice?.has(key) === true) throw new PageError(`${key} stands twice in the page`)
        value = value.entries.get(key) ?? null
      }
      return fromJson(text)
    },
  }
}
