import type { AnyConnection, Authorizer, Interaction } from '@ecokit/contracts'
import { single } from './line.ts'
import type { Line } from './line.ts'

/** What the auth scheme can do beside authorising, with the errors, the events and the cancellation of every other call. */
export const authOf = (line: Line, current: () => Authorizer | undefined): AnyConnection['auth'] => {
  // Which members there are is the scheme's; the credentials may be others by the time of the call.
  const first = current()
  const { status, login, logout } = first ?? {}
  const now = (): Authorizer | undefined => current() ?? first
  const call = (name: string, effect: 'read' | 'write') => ({ kind: 'call', name: `auth.${name}`, effect }) as const
  return {
    ...(status !== undefined && {
      status: (options) =>
        single(line, call('status', 'read'), {
          accept: () => undefined,
          perform: (_input, signal) => (now()?.status ?? status)({ signal }),
          verify: (seen) => seen,
        })(undefined, options),
    }),
    ...(login !== undefined && {
      login: (interaction: Interaction) =>
        single(line, call('login', 'write'), {
          accept: () => undefined,
          perform: (_input, signal) => (now()?.login ?? login)({ ...interaction, signal }),
          verify: (seen) => seen,
        })(undefined, interaction),
    }),
    ...(logout !== undefined && {
      logout: (options) =>
        single(line, call('logout', 'write'), {
          accept: () => undefined,
          perform: (_input, signal) => (now()?.logout ?? logout)({ signal }),
          verify: () => undefined,
        })(undefined, options),
    }),
  }
}
