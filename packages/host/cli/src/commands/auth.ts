import { toIntegrationError, toJson } from '@ecokit/contracts'
import type { AuthStatus } from '@ecokit/contracts'
import { withRuntime } from '../open.ts'
import { table } from '../output/table.ts'
import type { Shade } from '../output/terminal.ts'
import { duration, visible } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { exitOf } from '../explain.ts'
import { UsageError, exits } from '../usage.ts'

/** What is shown of a partner's login. It has no token and no place for one. */
interface StatusView {
  readonly partner: string
  readonly scheme: string | null
  /** `static`: there is nothing that could expire; `failed`: it cannot even be asked. */
  readonly state: AuthStatus['state'] | 'static' | 'failed'
  /** ISO 8601. */
  readonly expiresAt: string | null
  readonly refreshedAt: string | null
  readonly reason: string | null
  /** True where a person has to log in before it works. */
  readonly loginNeeded: boolean
}

const time = (at: number | undefined): string | null => (at === undefined ? null : new Date(at).toISOString())

export const statusView = (
  partner: string,
  scheme: string | undefined,
  status: AuthStatus | undefined,
  interactive = false,
): StatusView => ({
  partner,
  scheme: scheme ?? null,
  state: status?.state ?? 'static',
  expiresAt: time(status?.expiresAt),
  refreshedAt: time(status?.refreshedAt),
  reason: status?.reason ?? null,
  loginNeeded: status?.state === 'reauthorization_required' || (interactive && status?.state === 'missing'),
})

const shades: Partial<Readonly<Record<StatusView['state'], Shade>>> = {
  ready: 'green',
  expired: 'yellow',
  failed: 'red',
  reauthorization_required: 'red',
}
const relative = (at: string | null): string => {
  if (at === null) return ''
  const ms = Date.parse(at) - Date.now()
  return ms >= 0 ? `in ${duration(ms)}` : `${duration(-ms)} ago`
}

/** Shows when tokens expire and when they were renewed; 1 where a login is needed. */
export const status = (invocation: Invocation, partner: string | undefined): Promise<number> =>
  withRuntime(invocation, async (runtime, signal) => {
    const { terminal, json } = invocation
    const wanted = partner === undefined ? await runtime.registry.list() : [await runtime.registry.get(partner)]
    // A secret or the vault's key that is missing is ours to mend, and no login helps: as with `ecokit check`.
    const faults = new Set<number>()
    const rows = await Promise.all(
      wanted.map(async ({ name, scheme }): Promise<StatusView> => {
        try {
          const connection = await runtime.connect(name)
          try {
            const { auth } = connection
            return statusView(name, scheme, await auth.status?.({ signal }), 'login' in auth)
          } finally {
            await connection.close()
          }
        } catch (thrown) {
          signal.throwIfAborted()
          faults.add(exitOf(thrown))
          return {
            ...statusView(name, scheme, undefined),
            state: 'failed',
            reason: toIntegrationError(thrown, name).message,
          }
        }
      }),
    )
    if (json) await terminal.out(`${toJson(rows, 2)}\n`)
    else {
      const listed = table(
        [
          { title: 'PARTNER', cell: (row) => row.partner },
          { title: 'SCHEME', cell: (row) => row.scheme ?? 'none' },
          { title: 'STATE', cell: (row) => row.state, shade: (row) => shades[row.state] },
          { title: 'EXPIRES', cell: (row) => relative(row.expiresAt) },
          { title: 'RENEWED', cell: (row) => relative(row.refreshedAt) },
        ],
        rows,
        terminal,
      )
      const below = rows.map(({ partner, reason, loginNeeded }) => {
        const why =
          reason === null ? '' : `${reason.startsWith(`${partner}: `) ? '' : `${partner}: `}${visible(reason)}\n`
        return `${why}${loginNeeded ? `${partner}: log in with: ecokit login ${partner}\n` : ''}`
      })
      await terminal.out(listed + below.join(''))
    }
    if (faults.has(exits.usage)) return exits.usage
    return rows.every(({ state, loginNeeded }) => state !== 'failed' && !loginNeeded) ? exits.done : exits.failed
  })

/** Forgets a partner's tokens. */
export const logout = (invocation: Invocation, partner: string): Promise<number> =>
  withRuntime(invocation, async (runtime, signal) => {
    const { terminal, json } = invocation
    const connection = await runtime.connect(partner)
    try {
      const { auth } = connection
      if (!('logout' in auth))
        throw new UsageError(`${partner} has no tokens to forget. See: ecokit auth status ${partner}`)
      await runtime.safe.recorded({ action: 'logout', target: `partner/${partner}` }, async () =>
        auth.logout?.({ signal }),
      )
      await terminal.out(
        json ? `${JSON.stringify({ partner, loggedOut: true })}\n` : `Forgot the tokens of ${partner}.\n`,
      )
      return exits.done
    } finally {
      await connection.close()
    }
  })
