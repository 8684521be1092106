import { expect, onTestFinished } from 'vitest'
import {
  isIntegrationError,
  type AuthContext,
  type Authorizer,
  type ErrorCode,
  type IntegrationError,
  type Shared,
} from '@ecokit/contracts'
import { memoryShared, openNetwork, systemClock, type NetworkRuntime } from '@ecokit/http'
import { startOidc, type Oidc, type OidcOptions } from '@ecokit/peers'

/** A real OpenID provider for one test. */
export const issuer = async (options: OidcOptions): Promise<Oidc> => {
  const oidc = await startOidc(options)
  onTestFinished(() => oidc.stop())
  return oidc
}

/** What an authorizer is given, over real sockets; its network is closed after the test. */
export const contextOf = (
  config: Readonly<Record<string, string>>,
  options: {
    readonly hosts?: readonly string[]
    readonly tokens?: Shared
    readonly runtime?: NetworkRuntime
    readonly now?: () => number
    readonly sleep?: AuthContext['sleep']
    readonly secrets?: readonly string[]
  } = {},
): AuthContext => {
  let context: AuthContext | undefined
  const now = options.now ?? (() => Date.now())
  const network = openNetwork({
    partner: 'acme',
    hosts: options.hosts ?? ['{issuer}'],
    config,
    secrets: options.secrets ?? [],
    runtime: options.runtime,
    authorizer: (http) => {
      context = {
        partner: 'acme',
        config,
        http,
        tokens: options.tokens ?? memoryShared(now),
        now,
        sleep: options.sleep ?? ((ms, signal) => systemClock.sleep(ms, signal)),
        random: Math.random,
      }
      return { authorize: () => {} }
    },
  })
  onTestFinished(() => network.close())
  if (context === undefined) throw new Error('no authorizer was opened')
  return context
}

/** The header that a request would leave with. */
export const authorization = async (authorizer: Authorizer, signal?: AbortSignal): Promise<string | null> => {
  const headers = new Headers()
  const url = new URL('https://acme.example')
  await authorizer.authorize({ method: 'GET', url, headers, body: undefined }, { signal })
  return headers.get('authorization')
}

/** The error that a promise ends with, which must be of this code. */
export const failure = async <C extends ErrorCode>(work: Promise<unknown>, code: C): Promise<IntegrationError<C>> => {
  const error = await work.then(
    () => expect.unreachable('should have failed'),
    (reason: unknown) => reason,
  )
  if (!isIntegrationError(error)) throw error
  expect({ code: error.code, message: error.message }).toMatchObject({ code })
  return error as IntegrationError<C>
}
