import { integrationError } from '@ecokit/contracts'
import type { AnyConnection, AuthStatus, Authorizer, CallOptions, Interaction } from '@ecokit/contracts'
import { single } from './line.ts'
import type { Line } from './line.ts'

type Name = 'status' | 'login' | 'logout'

/** What the auth scheme can do beside authorising, with the errors, the events and the cancellation of every other call. */
export const authOf = (line: Line, current: () => Authorizer | undefined): AnyConnection['auth'] => {
  const call = (name: Name) =>
    ({ kind: 'call', name: `auth.${name}`, effect: name === 'status' ? 'read' : 'write' }) as const
  const wrap = <Out>(
    name: Name,
    perform: (scheme: Authorizer, signal: AbortSignal) => Promise<Out> | undefined,
    options: CallOptions | undefined,
  ): Promise<Out> =>
    single(line, call(name), {
      accept: () => undefined,
      perform: async (_input, signal): Promise<{ readonly out: Out }> => {
        // The credentials may be others by now, and their scheme another one.
        const scheme = current()
        const working = scheme && perform(scheme, signal)
        if (working !== undefined) return { out: await working }
        throw integrationError('unsupported', {
          partner: line.partner,
          what: `the auth scheme in use has no ${name}`,
          details: { what: `auth.${name}` },
        })
      },
      verify: ({ out }) => out,
    })(undefined, options)
  const first = current()
  return {
    ...(first?.status !== undefined && {
      status: (options) => wrap<AuthStatus>('status', (scheme, signal) => scheme.status?.({ signal }), options),
    }),
    ...(first?.login !== undefined && {
      login: (interaction: Interaction) =>
        wrap<AuthStatus>('login', (scheme, signal) => scheme.login?.({ ...interaction, signal }), interaction),
    }),
    ...(first?.logout !== undefined && {
      logout: (options) => wrap<void>('logout', (scheme, signal) => scheme.logout?.({ signal }), options),
    }),
  }
}
