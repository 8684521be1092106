import { integrationError, isIntegrationError } from '@ecokit/contracts'
import { partnerOf } from './failures.ts'
import type { Access, AccessRequest, Auditor, VaultAction, VaultOptions } from './types.ts'

type Outcome = 'allowed' | 'denied' | 'failed'

/** One kind of access by one actor for one reason, from its entry in the log until repeats need a new one. */
interface Window {
  readonly until: number
  /** Until the entry is durable; rejects where it cannot be written. */
  opening: Promise<unknown> | undefined
  repeats: number
  last: number
  readonly end: () => Promise<void>
}
/** More at once than anything but an attack has; the oldest end early. */
const keptWindows = 10_000

export interface Recorder {
  /** Asks `allow`; throws `forbidden` once the refusal is written down. */
  readonly ask: (request: AccessRequest) => void | Promise<void>
  /** Writes down one access; repeats within the window only count. Undefined where an answer need not wait: an entry for it is durable. */
  readonly repeated: (request: AccessRequest, outcome: Outcome, details: string) => Promise<unknown> | undefined
  /** Writes down one access. */
  readonly once: (
    request: AccessRequest,
    outcome: Outcome,
    details?: Readonly<Record<string, unknown>>,
  ) => Promise<unknown>
  /** Writes down what was only counted. */
  readonly close: () => Promise<void>
}

const entryOf = (request: AccessRequest, outcome: Outcome, details: Readonly<Record<string, unknown>>) => ({
  tenant: request.tenant,
  actor: request.actor,
  action: `vault.${request.action}`,
  target: `${request.partner}/${request.name}`,
  outcome,
  reason: request.reason,
  ...(Object.keys(details).length === 0 ? {} : { details }),
})

export const codeOf = (error: unknown): string => (isIntegrationError(error) ? error.code : 'internal')

/**
 * Writes accesses into the audit log. A read is answered only when an entry that covers it is durable: the first of its kind waits for its own entry, which
 * says until when it stands for repeats; those only count, and their number follows in a second entry. A crash loses that number, never the fact.
 */
export const openRecorder = ({
  audit,
  allow = () => false,
  windowMs,
  now,
}: {
  readonly audit: Auditor | undefined
  readonly allow: VaultOptions['allow']
  readonly windowMs: number
  readonly now: () => number
}): Recorder => {
  const windows = new Map<string, Window>()
  /** Entries that could not be written when their window ended. */
  let owed: (() => Promise<unknown>)[] = []
  const once: Recorder['once'] = (request, outcome, details = {}) =>
    audit === undefined ? Promise.resolve() : audit.append(entryOf(request, outcome, details))
  const settle = async (): Promise<void> => {
    const due = owed
    owed = []
    for (const [index, write] of due.entries())
      try {
        await write()
      } catch (error) {
        owed.push(...due.slice(index))
        throw error
      }
  }

  const repeated: Recorder['repeated'] = (request, outcome, details) => {
    if (audit === undefined) return undefined
    if (windowMs === 0) return once(request, outcome, { version: details })
    const { action, partner, name, actor, reason } = request
    // With their lengths, so that no two accesses read alike.
    const key = `${outcome} ${action} ${details} ${partner.length} ${name.length} ${actor.length} ${partner}${name}${actor}${reason}`
    const at = now()
    const open = windows.get(key)
    if (open !== undefined && at < open.until) {
      open.repeats += 1
      open.last = at
      return open.opening
    }
    const until = at + windowMs
    const end = async (): Promise<void> => {
      clearTimeout(timer)
      if (windows.get(key) === window) windows.delete(key)
      if (window.repeats > 0)
        owed.push(() =>
          once(request, outcome, { version: details, repeats: window.repeats, from: at, to: window.last }),
        )
      await settle()
    }
    // Whatever cannot be written now is owed, and tried again by the next that ends.
    const timer = setTimeout(() => void end().catch(() => undefined), windowMs)
    timer.unref()
    const window: Window = { until, opening: undefined, repeats: 0, last: at, end }
    const oldest = windows.size < keptWindows ? undefined : windows.values().next().value
    windows.set(key, window)
    const opening = async (): Promise<void> => {
      await open?.end()
      await oldest?.end()
      await settle()
      await once(request, outcome, { version: details, repeatsUntil: until })
      window.opening = undefined
    }
    return (window.opening = opening().catch((error: unknown) => {
      clearTimeout(timer)
      if (windows.get(key) === window) windows.delete(key)
      throw error
    }))
  }

  const decide = (request: AccessRequest, allowed: boolean): void | Promise<void> => {
    if (allowed) return
    const refuse = (): never => {
      throw integrationError('forbidden', {
        partner: partnerOf(request),
        what: `${request.actor} may not ${request.action} "${request.name}" in the vault`,
        next: 'Ask whoever runs this vault for a grant, or act as somebody who has one',
        details: {},
      })
    }
    const written = repeated(request, 'denied', '-')
    return written === undefined ? refuse() : written.then(refuse)
  }
  return {
    ask: (request) => {
      const allowed = allow(request)
      return typeof allowed === 'boolean'
        ? decide(request, allowed)
        : allowed.then((decided) => decide(request, decided))
    },
    repeated,
    once,
    close: async () => {
      for (const window of windows.values()) {
        await window.opening
        await window.end()
      }
      await settle()
    },
  }
}

/** One guarded action: asked, written down before it is done, and written down again where it fails. */
export const guarded = async <T>(
  { ask, once }: Recorder,
  request: AccessRequest,
  details: Readonly<Record<string, unknown>>,
  work: () => Promise<T>,
): Promise<T> => {
  await ask(request)
  await once(request, 'allowed', details)
  try {
    return await work()
  } catch (error) {
    await once(request, 'failed', { ...details, code: codeOf(error) })
    throw error
  }
}

export const requestOf = (
  tenant: string,
  action: VaultAction,
  { partner, name }: { readonly partner: string; readonly name: string },
  { actor, reason }: Access,
): AccessRequest => ({ tenant, action, partner, name, actor, reason })
