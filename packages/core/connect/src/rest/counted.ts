import type { RestPaging } from '@ecokit/contracts'
import type { Place } from './state.ts'

type Counted = Extract<RestPaging, { readonly kind: 'offset' | 'page' }>
export const isCounted = (paging: RestPaging | undefined): paging is Counted =>
  paging?.kind === 'offset' || paging?.kind === 'page'

/** Whether a place is behind the first page: what is not there ends the list, and the list itself not being there does not. */
export const isBehindFirst = (paging: Counted, place: Place): boolean =>
  paging.kind === 'offset' ? (place.offset ?? 0) > 0 : place.page !== undefined && place.page > (paging.first ?? 1)

/** The place behind a page of so many records. */
export const countOn = (paging: Counted, place: Place | undefined, records: number): Place =>
  paging.kind === 'offset'
    ? { offset: (place?.offset ?? 0) + records }
    : { ...place, page: (place?.page ?? paging.first ?? 1) + 1 }

/**
 * What the counted pages of one read, with all its parts, tell of the partner. One that silently gives fewer records than it was asked for would otherwise end its lists with the first page, and
 * whoever reconciles would delete the rest: a short page is the end only where another one has shown that the partner gives as many as that.
 */
export const openCount = () => {
  let largest = 0
  let short = false
  return {
    /** What follows a page, where so many records at least are a full one: another, nothing, or `perhaps` another. */
    follow: (records: number, full: number): 'more' | 'nothing' | 'perhaps' => {
      largest = Math.max(largest, records)
      if (records === 0) return 'nothing'
      if (records >= full) return 'more'
      if (short) return records < largest ? 'perhaps' : 'more'
      return largest >= full ? 'nothing' : 'perhaps'
    },
    /** There was more behind a short page: from here on only an empty one is the end. */
    givesFewer: (): void => void (short = true),
    /** Whether a page of so many is smaller than others. */
    isSmall: (records: number): boolean => records < largest,
    /** How many records the pages that were asked for with this size have held; undefined where none was seen. */
    held: (size: number): number | undefined => (largest === 0 ? undefined : Math.min(size, largest)),
  }
}
