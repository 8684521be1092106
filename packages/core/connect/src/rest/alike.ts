import { integrationError, toJson } from '@ecokit/contracts'
import type { IntegrationError } from '@ecokit/contracts'
import { onward } from '@ecokit/http'
import type { Found } from './road.ts'

/** The error for pages that no read can be made of. */
export const invalidPages = (partner: string, name: string, what: string): IntegrationError =>
  integrationError('invalid_reply', {
    partner,
    what: `${name}: ${what}`,
    next: 'The read would never end, or would miss records: report it to the partner',
    details: {},
  })

/** What pages with the same records have in common, those that do not fit included. */
export const edgesIn = ({ rows, refused }: Found): string =>
  rows.count > 0 ? rows.edges : toJson([refused.length, refused[0]?.record, refused.at(-1)?.record])

/** How often in a row a page may be given again where no key tells that it is the same; pages of nothing are common where a partner searches. */
const mostAlike = 100
const mostEmpty = 10_000

/** Looks at each page of one list and throws `invalid_reply` where the same are given again: counted pages and offsets never ask for themselves, and a token may be new each time. */
export const openWatch = (partner: string, name: string, hasKey: boolean): ((found: Found) => void) => {
  const alike = onward(partner, name)
  let last: string | undefined
  let count = 0
  return (found) => {
    const edges = edgesIn(found)
    if (hasKey && found.rows.count > 0) alike(edges)
    count = edges === last ? count + 1 : 0
    last = edges
    if (count >= (found.records > 0 ? mostAlike : mostEmpty))
      throw invalidPages(partner, name, 'the same page is given again and again')
  }
}
