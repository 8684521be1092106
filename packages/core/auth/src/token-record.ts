import { integrationError, type AuthContext } from '@ecokit/contracts'

/** What an issuer gave. Times are epoch milliseconds. */
export interface TokenSet {
  readonly accessToken: string
  readonly tokenType?: string
  /** Absent: it does not expire that we know of. */
  readonly expiresAt?: number
  readonly refreshToken?: string
  readonly scope?: string
  readonly refreshedAt: number
}

/**
 * What all processes know of the tokens, as it is stored. An exchange that uses up a refresh token leaves its trace before it begins (`refreshing`) and
 * again right before its request leaves (`since`), so that after a crash anybody can tell whether the issuer may have seen it.
 */
export type TokenRecord =
  | { readonly state: 'ready'; readonly tokens: TokenSet }
  | { readonly state: 'refreshing'; readonly tokens: TokenSet; readonly exchange: string; readonly since?: number }
  /** The request left at `since` and nobody knows what came of it. */
  | { readonly state: 'uncertain'; readonly tokens: TokenSet; readonly exchange: string; readonly since: number }
  | {
      readonly state: 'reauthorization_required'
      readonly reason: string
      /** What the issuer said, where it said something. */
      readonly issuer?: string
      readonly at: number
      /** The exchange that nobody knew the outcome of: should its answer come after all, it is welcome. */
      readonly exchange?: string
    }
/** A record with the count of its writes; version 0 is where there is none. */
export interface Entry {
  readonly record: TokenRecord | undefined
  readonly version: number
}

const states: readonly unknown[] = ['ready', 'refreshing', 'uncertain', 'reauthorization_required']

/** Reads and writes the record of one token source. */
export const openRecord = ({ partner, tokens: shared }: AuthContext, key: string) => {
  const at = `tokens/${encodeURIComponent(partner)}/${key}`
  return {
    /** The lease of whoever exchanges. */
    leaseKey: `${at}/exchange`,
    read: async (): Promise<Entry> => {
      const found = await shared.get(at)
      if (found === undefined) return { record: undefined, version: 0 }
      try {
        const record = JSON.parse(found.value) as TokenRecord
        if (states.includes(record.state)) return { record, version: found.version }
      } catch {
        // Said below; the parser's own words would quote a token.
      }
      throw integrationError('internal', {
        partner,
        what: 'the stored tokens cannot be read',
        next: `Run: ecokit auth logout ${partner}, and log in again`,
        details: {},
      })
    },
    /** Writes over exactly the version that was read; false where somebody else wrote meanwhile. */
    replace: (version: number, record: TokenRecord): Promise<boolean> =>
      shared.put(at, JSON.stringify(record), { expected: version }),
    write: async (record: TokenRecord): Promise<void> => {
      await shared.put(at, JSON.stringify(record))
    },
    remove: (): Promise<void> => shared.delete(at),
  }
}
export type RecordStore = ReturnType<typeof openRecord>
