import { randomUUID } from 'node:crypto'
import {
  integrationError,
  isIntegrationError,
  type AuthContext,
  type AuthStatus,
  type CallOptions,
  type IntegrationError,
} from '@ecokit/contracts'
import { exchangeTokens } from './token-exchange.ts'
import { askedToWait, reauthorizationRequired } from './token-errors.ts'
import { openRecord, type Entry, type TokenSet } from './token-record.ts'

export type { TokenSet } from './token-record.ts'

/** Where tokens come from: what each scheme writes for itself. */
export interface TokenSource {
  /** The scheme's kind, for messages. */
  readonly scheme: string
  /** What else distinguishes these tokens beside the partner (a hash of client id, scope, account: never a secret). */
  readonly key: string
  /** True where an exchange uses up a single-use refresh token, so that an exchange whose outcome is unknown may not simply be repeated. */
  readonly rotating?: boolean
  /** How long (ms) the issuer takes a used refresh token again; 0: never. */
  readonly reuseWindowMs?: number
  /** Gets a new set; must await `sending()` right before the request leaves. */
  fetch(
    current: TokenSet | undefined,
    step: { readonly signal?: AbortSignal; sending(): Promise<void> },
  ): Promise<TokenSet>
  /** Whether the issuer says that this refresh token was not used yet; undefined where it has no such answer. */
  stillActive?(current: TokenSet): Promise<boolean | undefined>
  /** Where nobody logged in yet: throw reauthorization_required; else fetch(undefined) is called. */
  readonly needsLogin?: boolean
  /** Used while nothing is stored yet: a refresh token out of the credentials. */
  readonly seed?: TokenSet
}

/** Times in milliseconds that tests shorten. */
export interface TokenTiming {
  /** How long after the crash of its holder an exchange can be taken over. Default 5,000. */
  readonly leaseMs?: number
  /** How long a caller without a valid token waits for another process that renews it, and until when a renewal that failed is tried again. Default 45,000. One that is under way ends by the limits of its requests. */
  readonly waitMs?: number
  /** How often an exchange that an issuer could not answer is tried while no token is valid. Default 4. */
  readonly attempts?: number
  /** The wait before the second is a random part of this, and doubles. Default 250. */
  readonly backoffMs?: number
}

export interface Tokens {
  /** A token that is valid for a while yet; many callers, in all processes, cause one exchange. */
  token(options?: CallOptions): Promise<TokenSet>
  /** After a 401: renews once, unless somebody did already; false where that would not help. */
  refused(accessToken: string, options?: CallOptions): Promise<boolean>
  /** Stores the outcome of a login. */
  keep(tokens: TokenSet): Promise<void>
  status(options?: CallOptions): Promise<AuthStatus>
  forget(): Promise<void>
  /** What is stored now, valid or not; undefined where there is nothing, or nothing that could be used. */
  stored(): Promise<TokenSet | undefined>
  /** Waits for an exchange that is under way: to end it in the middle could lose a single-use refresh token. */
  close(): Promise<void>
}

const longestMarginMs = 60_000
const pollMs = 25
const longestPollMs = 400
/** How often the one who holds the lease may find that somebody else wrote. */
const mostLost = 20
/** A refusal that no repeat can mend is remembered for this long, so that an issuer is not asked with each call and locks nobody out. */
const refusalMs = 5_000
/** What closes a connection does not wait longer than this for an issuer. */
const closingMs = 5_000
/** How often a partner's 401 may cause an exchange, at most. */
const forcedEveryMs = 30_000

const marginOf = ({ expiresAt = Infinity, refreshedAt }: TokenSet): number =>
  Math.min(longestMarginMs, Math.max(0, expiresAt - refreshedAt) / 5)
/** Ends the waiting of one caller; the work goes on for the others. */
const orAborted = async <T>(work: Promise<T>, partner: string, signal: AbortSignal | undefined): Promise<T> => {
  if (signal === undefined) return work
  // It goes on without this caller, who may be gone before it has heard of an error.
  work.catch(() => {})
  const cancelled = () => integrationError('cancelled', { partner, what: 'was cancelled', details: {} })
  if (signal.aborted) throw cancelled()
  let abort = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => {
      reject(cancelled())
    }
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Keeps the tokens of one source: in memory, and in `context.tokens` for all processes. Does no I/O before the first call. */
export const openTokens = (context: AuthContext, source: TokenSource, timing: TokenTiming = {}): Tokens => {
  const { partner, tokens: shared } = context
  const { leaseMs = 5_000, waitMs = 45_000, attempts = 4, backoffMs = 250 } = timing
  const store = openRecord(context, source.key)
  let cached: TokenSet | undefined
  // A part of the margin, so that not all processes wake at once.
  let early = 1
  let flight: Promise<TokenSet> | undefined
  let quietUntil = 0
  let refusal: { readonly error: IntegrationError; readonly at: number } | undefined
  let forcedAt = -Infinity
  let logouts = 0

  /** Within that time before now; what a clock that was put back shows as yet to come is long over. */
  const lately = (at: number, ms: number): boolean => context.now() >= at && context.now() - at < ms
  const due = (tokens: TokenSet, refused?: string): boolean =>
    tokens.accessToken === refused ||
    context.now() >= (tokens.expiresAt ?? Infinity) - marginOf(tokens) * (0.5 + 0.5 * early)
  /** Still good for a request that leaves now. */
  const usable = (tokens: TokenSet | undefined, refused?: string): tokens is TokenSet =>
    tokens !== undefined &&
    tokens.accessToken !== refused &&
    context.now() < (tokens.expiresAt ?? Infinity) - marginOf(tokens) / 4
  const adopt = (tokens: TokenSet): TokenSet => {
    if (cached?.accessToken !== tokens.accessToken) early = context.random()
    return (cached = tokens)
  }
  /** The tokens of the record where they need no exchange. */
  const settled = ({ record }: Entry, refused?: string): TokenSet | undefined => {
    if (record?.state === 'reauthorization_required') {
      cached = undefined
      throw reauthorizationRequired(partner, source.scheme, record.reason, record.issuer)
    }
    return record?.state === 'ready' && !due(record.tokens, refused) ? adopt(record.tokens) : undefined
  }

  const busy = () =>
    integrationError('timeout', {
      partner,
      what: `${source.scheme}: another process that renews the token did not finish within ${waitMs} ms`,
      next: 'Try again later; if it stays, look for a process that hangs',
      details: { timeoutMs: waitMs },
    })
  /** Holds the lease as long as the work goes on, within bounds. */
  const withLease = async <T>(holder: string, work: () => Promise<T>): Promise<T> => {
    const done = new AbortController()
    const renewing = (async () => {
      const every = leaseMs / 3
      for (let left = Math.ceil(waitMs / every); left > 0; left--) {
        await context.sleep(every, done.signal)
        await shared.lease(store.leaseKey, holder, leaseMs)
      }
    })().catch(() => {})
    try {
      return await work()
    } finally {
      done.abort()
      await renewing
      await shared.release(store.leaseKey, holder).catch(() => {})
    }
  }
  const exchangeHeld = async (holder: string, refused: string | undefined, until: number): Promise<TokenSet> => {
    let lost = 0
    for (let attempt = 1; ;) {
      const before = logouts
      const entry = await store.read()
      const found = settled(entry, refused)
      if (found !== undefined) return found
      // What is in memory alone counts anew after a logout: the version of a new login would be that of the old one.
      const replace: typeof store.replace = async (version, record) =>
        before === logouts && (await store.replace(version, record))
      try {
        const renewed = await exchangeTokens(context, source, { ...store, replace }, entry, `${holder}/${attempt}`)
        if (renewed !== undefined) return adopt(renewed)
        // Somebody else wrote meanwhile: look again, but not for ever.
        if (++lost > mostLost) throw busy()
        await context.sleep(pollMs * context.random())
      } catch (error) {
        const retryable = isIntegrationError(error) && error.retryable
        const wait = askedToWait(error) ?? context.random() * backoffMs * 2 ** (attempt - 1)
        if (!retryable) throw error
        if (usable(cached, refused)) {
          // The old token serves until the issuer is back.
          quietUntil = context.now() + Math.max(wait, marginOf(cached) / 8)
          return cached
        }
        if (++attempt > attempts || context.now() + wait >= until) throw error
        await context.sleep(wait)
      }
    }
  }
  const renew = async (refused?: string): Promise<TokenSet> => {
    // Not from context.random: two processes with the same seed must not hold the same lease.
    const holder = randomUUID()
    const until = context.now() + waitMs
    for (let turn = 0; ; turn++) {
      const found = settled(await store.read(), refused)
      if (found !== undefined) return found
      if (await shared.lease(store.leaseKey, holder, leaseMs))
        return withLease(holder, () => exchangeHeld(holder, refused, until))
      if (usable(cached, refused)) return cached
      if (context.now() >= until) throw busy()
      await context.sleep(Math.min(longestPollMs, pollMs * 1.5 ** turn) * (0.5 + 0.5 * context.random()))
    }
  }
  const join = (refused?: string): Promise<TokenSet> => {
    if (flight !== undefined) return flight
    if (refusal !== undefined && lately(refusal.at, refusalMs)) return Promise.reject(refusal.error)
    refusal = undefined
    const started = renew(refused)
      .catch((error: unknown) => {
        // A login from elsewhere must be seen at once, so that one is never remembered.
        if (isIntegrationError(error) && error.class === 'config' && error.code !== 'reauthorization_required')
          refusal = { error, at: context.now() }
        throw error
      })
      .finally(() => {
        flight = undefined
      })
    return (flight = started)
  }

  const force = (refused: string): Promise<TokenSet> => {
    if (flight === undefined) forcedAt = context.now()
    return join(refused)
  }

  return {
    token: async (options) => {
      if (cached !== undefined && (!due(cached) || (usable(cached) && context.now() < quietUntil))) return cached
      const still = usable(cached) ? cached : undefined
      const coming = join()
      coming.catch(() => {})
      return still ?? orAborted(coming, partner, options?.signal)
    },
    refused: async (accessToken, options) => {
      if (cached !== undefined && cached.accessToken !== accessToken && usable(cached)) return true
      // A partner that refuses new tokens too has another reason: one exchange, not one for each call.
      const pause = Math.min(forcedEveryMs, cached === undefined ? Infinity : marginOf(cached))
      if (flight === undefined && lately(forcedAt, pause)) return false
      let tokens = await orAborted(flight ?? force(accessToken), partner, options?.signal)
      // That flight was not for this token's sake and may have left it in use.
      if (tokens.accessToken === accessToken) tokens = await orAborted(force(accessToken), partner, options?.signal)
      return tokens.accessToken !== accessToken
    },
    keep: async (tokens) => {
      await store.write({ state: 'ready', tokens })
      refusal = undefined
      adopt(tokens)
    },
    status: async () => {
      const { record } = await store.read()
      if (record === undefined) return { state: 'missing' }
      if (record.state === 'reauthorization_required') return { state: record.state, reason: record.reason }
      const { expiresAt, refreshedAt } = record.tokens
      return {
        state: expiresAt !== undefined && expiresAt <= context.now() ? 'expired' : 'ready',
        ...(expiresAt === undefined ? {} : { expiresAt }),
        refreshedAt,
      }
    },
    forget: async () => {
      logouts += 1
      cached = undefined
      await store.remove()
    },
    stored: async () => {
      const { record } = await store.read()
      return record?.state === 'reauthorization_required' ? undefined : record?.tokens
    },
    close: async () => {
      if (flight === undefined) return
      const over = new AbortController()
      await Promise.race([flight, context.sleep(closingMs, over.signal)]).catch(() => {})
      over.abort()
    },
  }
}
