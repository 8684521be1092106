import type { z } from 'zod'
import type { HttpOptions } from './network.ts'

/** Where a parameter of a request stands. */
export interface RestParameter {
  /** Default `query`. */
  readonly in?: 'query' | 'body'
  readonly parameter: string
}

/** How the next page is asked for; dotted paths lead into the page around the records. A page that asks for itself again, or is given again and again, ends the read with `invalid_reply`. */
export type RestPaging =
  /** A cursor or page token out of the page, sent back. */
  | (RestParameter & { readonly kind: 'token'; readonly next: string })
  /**
   * Counts records from 0, until a page holds fewer than `size`, or none where `size` is not given, or is not there (404). Until a page of the read was as large as `size`, one that is shorter is
   * asked behind once more: where something stands there, the partner gives fewer than it is asked for, and from there on the pages end where one is empty.
   */
  | (RestParameter & { readonly kind: 'offset'; readonly size?: number })
  /** Counts pages from `first` (default 1), and ends as `offset` does. */
  | (RestParameter & { readonly kind: 'page'; readonly first?: number; readonly size?: number })
  /** Follows the Link header's rel="next" (RFC 8288) within the same origin. */
  | { readonly kind: 'link' }
  /** Follows a URL out of the page within the same origin. */
  | { readonly kind: 'url'; readonly next: string }

/** In which form a time is sent. */
export type TimeForm = 'iso' | 'date' | 'epoch_ms' | 'epoch_s'

/** How a stream is cut into parts that are read side by side, within the partner's limits; each part keeps its own place in the checkpoint. */
export type RestPartitions =
  /**
   * One part for each record of another stream that is declared like this: `fields` names the parameters (`{name}` in path, query and body) and the parent's fields that they come from. `mayLack`: a part
   * that the partner does not find (404, 410) has no records, as where the parent lists what has been deleted; it is asked again in the next pass, for all that it has then. Where not one part is found, the
   * pass fails. Whatever else a part answers fails the pass, a 403 as well: what may not be read is not gone.
   */
  | { readonly parent: string; readonly fields: Readonly<Record<string, string>>; readonly mayLack?: boolean }
  /** One part for each window of time from `from` on (ISO 8601), sent as `since` (inclusive) and `until` (exclusive). With a cursor, a read goes on in the window in which it stands. */
  | {
      readonly windowMs: number
      readonly from: string
      readonly since: RestParameter
      readonly until: RestParameter
      readonly form?: TimeForm
    }

/**
 * A stream as it is read over REST. `{name}` in path, query and body stands for a field of the config or of the partition; in the path it is percent-encoded.
 * `Wire` is the record as the partner sends it, where `map` makes the row of it.
 */
export interface RestStream<Wire extends z.ZodType = z.ZodType, Row = unknown> {
  /** The base URL, written as `hosts` are: `{trackingUri}/api/2.0`. Default: the manifest's first host, with the path that the config gives it. */
  readonly base?: string
  /** Default `GET`. */
  readonly method?: 'GET' | 'POST'
  readonly path: string
  readonly query?: Readonly<Record<string, string | readonly string[]>>
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON with POST. A text that is nothing but `{name}` becomes the value itself, numbers as numbers. */
  readonly body?: Readonly<Record<string, unknown>>
  /** The dotted path to the list of records; absent: the page itself is the list. */
  readonly records?: string
  /** True: a page without the list has no records (APIs that leave empty lists out). */
  readonly mayLack?: boolean
  /** Absent: there is one page. */
  readonly paging?: RestPaging
  /** How many records a page is asked for; after `too_large` the read goes on with half as many (counted pages: while the number is even). */
  readonly pageSize?: RestParameter & { readonly size: number }
  /** Absent although the stream has a cursor: each pass reads everything and hands on what lies behind the cursor, less the lag. */
  readonly incremental?: {
    /** Lower bound of the cursor, inclusive. */
    readonly since: RestParameter
    /** Upper bound of the cursor, exclusive; absent: records from the bound on are left out after they were read. */
    readonly until?: RestParameter
    /** Default: `iso` for cursors that are times, `as_is` for others. A cursor that is a number is epoch milliseconds, with `epoch_s` epoch seconds. */
    readonly form?: TimeForm | 'as_is'
    /** How far behind the last cursor a read starts again, in milliseconds. Default 0. */
    readonly lagMs?: number
    /** True: the partner gives records in the order of the cursor, so that a checkpoint may move with every page; otherwise it moves when all pages are read. */
    readonly ordered?: boolean
  }
  readonly partitions?: RestPartitions
  /** `compare`: the list is read whole each time, a digest of each slice of a hundred records is kept, and only slices that have changed are handed on. For lists whose changes no filter finds; not together with `partitions`. */
  readonly changes?: 'compare'
  /** The record as the partner sends it, where it is not the row itself; needs `map`. */
  readonly wire?: Wire
  /** Makes the row. Code: such a stream is read through objects, at about a tenth of the speed. */
  readonly map?: (record: z.output<Wire>) => Row
  /** Settings of its way out: the partner's own format of errors, the time for one attempt, the largest page. */
  readonly http?: HttpOptions
}
