import { isIntegrationError, type AuthContext } from '@ecokit/contracts'
import { mayHaveActed, reauthorizationRequired } from './token-errors.ts'
import type { Entry, RecordStore, TokenRecord, TokenSet } from './token-record.ts'
import type { TokenSource } from './tokens.ts'

const storeAttempts = 6

/** One exchange under the lease. Gives undefined where somebody else wrote meanwhile, so that the caller looks again. */
export const exchangeTokens = async (
  context: AuthContext,
  source: TokenSource,
  store: RecordStore,
  entry: Entry,
  id: string,
): Promise<TokenSet | undefined> => {
  const { partner } = context
  const { record } = entry
  if (record?.state === 'reauthorization_required')
    throw reauthorizationRequired(partner, source.scheme, record.reason, record.issuer)
  const current = record?.tokens ?? source.seed
  const give = (why: string) => reauthorizationRequired(partner, source.scheme, why)
  if (source.needsLogin === true && current?.refreshToken === undefined)
    throw give(
      current === undefined ? 'nobody has logged in yet' : 'the login is over and the issuer gave no refresh token',
    )
  if (current === undefined || source.rotating !== true || current.refreshToken === undefined) {
    const tokens = await source.fetch(current, { sending: () => Promise.resolve() })
    return (await saved(context, () => store.replace(entry.version, { state: 'ready', tokens }))) ? tokens : undefined
  }
  return rotate(context, source, store, { ...entry, tokens: current }, id)
}

/** Repeats a write that failed: what it holds exists nowhere else. */
const saved = async (context: AuthContext, write: () => Promise<boolean>): Promise<boolean> => {
  for (let attempt = 1; ; attempt++)
    try {
      return await write()
    } catch (error) {
      if (attempt === storeAttempts) throw error
      await context.sleep(50 * 2 ** attempt)
    }
}

/** Does the issuer take a refresh token again that was sent then? A tenth of its window is left for the way there. */
const inWindow = (context: AuthContext, { reuseWindowMs = 0 }: TokenSource, since: number): boolean =>
  context.now() < since + 0.9 * reuseWindowMs
/** May the refresh token of an exchange with unknown outcome be sent again? */
const mayReplay = async (
  context: AuthContext,
  source: TokenSource,
  tokens: TokenSet,
  since: number,
): Promise<'in_window' | 'unused' | undefined> => {
  if (inWindow(context, source, since)) return 'in_window'
  return (await source.stillActive?.(tokens)) === true ? 'unused' : undefined
}

/** Uses up a refresh token, and leaves a trace of each step. */
const rotate = async (
  context: AuthContext,
  source: TokenSource,
  store: RecordStore,
  entry: Entry & { readonly tokens: TokenSet },
  id: string,
): Promise<TokenSet | undefined> => {
  const { partner } = context
  const { tokens: current, record: before } = entry
  let { version } = entry
  const step = async (record: TokenRecord): Promise<boolean> => {
    const done = await store.replace(version, record)
    if (done) version++
    return done
  }
  const giveUp = async (reason: string, also: { exchange?: string; issuer?: string }): Promise<undefined> => {
    if (!(await step({ state: 'reauthorization_required', reason, at: context.now(), ...also }))) return undefined
    throw reauthorizationRequired(partner, source.scheme, reason, also.issuer)
  }
  let undo: TokenRecord = { state: 'ready', tokens: current }
  const trace: { since?: number; replay?: 'in_window' | 'unused' } = {}
  const road: { at: 'before' | 'sent' | 'overtaken' } = { at: 'before' }
  if (before?.state === 'uncertain' || (before?.state === 'refreshing' && before.since !== undefined)) {
    const { exchange, since = 0 } = before
    undo = { state: 'uncertain', tokens: current, exchange, since }
    if (before.state !== 'uncertain' && !(await step(undo))) return undefined
    const replay = await mayReplay(context, source, current, since)
    if (replay === undefined) return giveUp(unknownOutcome, { exchange })
    trace.since = since
    trace.replay = replay
  }
  const refreshing = { state: 'refreshing', tokens: current, exchange: id } as const
  if (!(await step({ ...refreshing, ...(trace.since === undefined ? {} : { since: trace.since }) }))) return undefined
  const fetching = source.fetch(current, {
    sending: async () => {
      // A replay keeps the time of the first sending, from which the issuer's window counts; it may be over by now.
      const since = trace.since ?? context.now()
      const late = trace.replay === 'in_window' && !inWindow(context, source, since)
      if (late || !(await step({ ...refreshing, since }))) {
        road.at = 'overtaken'
        throw new Error('somebody else has taken over, or the time has')
      }
      trace.since = since
      road.at = 'sent'
    },
  })
  const outcome = await fetching.then(
    (tokens) => ({ tokens }),
    (error: unknown) => ({ error }),
  )
  if ('tokens' in outcome) return keepAnswer(context, store, id, version, outcome.tokens)
  const { error } = outcome
  if (road.at === 'overtaken') return undefined
  if (isIntegrationError(error, 'reauthorization_required')) {
    const { issuer } = error.details
    return giveUp(`the issuer no longer accepts the login${issuer === undefined ? '' : ` (${issuer})`}`, {
      ...(issuer === undefined ? {} : { issuer }),
    })
  }
  const { since } = trace
  const unknown = road.at === 'sent' && since !== undefined && mayHaveActed(error)
  await step(unknown ? { state: 'uncertain', tokens: current, exchange: id, since } : undo)
  throw error
}

const unknownOutcome =
  'a renewal was interrupted after its request had left, and the issuer may have used up the refresh token, which must not be sent twice'

/** Stores what the issuer answered, even where others have given this very exchange up meanwhile; never over newer tokens. */
const keepAnswer = async (
  context: AuthContext,
  store: RecordStore,
  id: string,
  version: number,
  tokens: TokenSet,
): Promise<TokenSet | undefined> => {
  const ready: TokenRecord = { state: 'ready', tokens }
  if (await saved(context, () => store.replace(version, ready))) return tokens
  for (;;) {
    const now = await store.read()
    const ours = now.record !== undefined && now.record.state !== 'ready' && now.record.exchange === id
    if (!ours) return undefined
    if (await saved(context, () => store.replace(now.version, ready))) return tokens
  }
}
