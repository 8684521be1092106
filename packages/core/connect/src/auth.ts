import type { AnyConnection, Authorizer, Interaction } from '@ecokit/contracts'
import { single } from './line.ts'
import type { Line } from './line.ts'

/** What the auth scheme can do beside authorising, with the errors, the events and the cancellation of every other call. */
export const authOf = (line: Line, authorizer: Authorizer | undefined): AnyConnection['auth'] => {
  const { status, login, logout } = authorizer ?? {}
  const call = (name: string, effect: 'read' | 'write') => ({ kind: 'call', name: `auth.${name}`, effect }) as const
  return {
    ...(status !== undefined && {
      status: (options) =>
        single(line, call('status', 'read'), {
          accept: () => undefined,
          perform: (_input, signal) => status({ signal }),
          verify: (seen) => seen,
        })(undefined, options),
    }),
    ...(login !== undefined && {
      login: (interaction: Interaction) =>
        single(line, call('login', 'write'), {
          accept: () => undefined,
          perform: (_input, signal) => login({ ...interaction, signal }),
          verify: (seen) => seen,
        })(undefined, interaction),
    }),
    ...(logout !== undefined && {
      logout: (options) =>
        single(line, call('logout', 'write'), {
          accept: () => undefined,
          perform: (_input, signal) => logout({ signal }),
          verify: () => undefined,
        })(undefined, options),
    }),
  }
}
