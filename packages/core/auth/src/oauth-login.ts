import { z } from 'zod'
import {
  integrationError,
  isIntegrationError,
  type Authorizer,
  type AuthContext,
  type AuthScheme,
  type Interaction,
} from '@ecokit/contracts'
import { openLoopback, type RedirectOptions } from './loopback.ts'
import { clientFields, type ClientCredentials, type ClientMethod } from './oauth-client.ts'
import { refreshSource, revoke, tokenAuthorizer } from './oauth-authorizer.ts'
import { hostsOf, openIssuer, type Issuer, type OAuthOptions } from './oauth-issuer.ts'
import { oneLine, refusalOf } from './oauth-http.ts'
import type { RefreshOptions } from './oauth.ts'
import { openTokens, type TokenSet } from './tokens.ts'

export interface LoginOptions extends RefreshOptions {
  /** How long a person has. Default five minutes; the device flow ends with its code at the latest. */
  readonly loginTimeoutMs?: number
}
const loginTimeoutMs = 300_000

type Flow = (
  issuer: Issuer,
  interaction: Interaction & { readonly signal: AbortSignal },
  context: AuthContext,
) => Promise<TokenSet>

const openLogin = (
  kind: string,
  method: ClientMethod,
  options: OAuthOptions & LoginOptions,
  credentials: ClientCredentials,
  context: AuthContext,
  flow: Flow,
): Authorizer => {
  const { partner } = context
  const now = () => context.now()
  const issuer = openIssuer(context, kind, method, options, credentials)
  const singleUse = options.refreshTokens !== 'reusable'
  const tokens = openTokens(
    context,
    {
      ...refreshSource(partner, kind, issuer, { singleUse, reuseWindowMs: options.reuseWindowMs, now }),
      key: issuer.key(),
      needsLogin: true,
    },
    options.timing,
  )
  return {
    ...tokenAuthorizer(tokens, { beforeLogout: async (given) => revoke(issuer, await tokens.stored(), given) }),
    login: async (interaction) => {
      const over = new AbortController()
      const { loginTimeoutMs: timeoutMs = loginTimeoutMs } = options
      const limit = new AbortController()
      context.sleep(timeoutMs, over.signal).then(
        () => {
          limit.abort(
            integrationError('timeout', {
              partner,
              what: `${kind}: nobody logged in within ${Math.round(timeoutMs / 1000)} s`,
              next: `Run: ecokit login ${partner}`,
              details: { timeoutMs },
            }),
          )
        },
        () => {},
      )
      const given = interaction.signal
      const signal = given === undefined ? limit.signal : AbortSignal.any([limit.signal, given])
      try {
        await tokens.keep(await flow(issuer, { ...interaction, signal }, context))
        return await tokens.status()
      } catch (error) {
        if (limit.signal.aborted) throw limit.signal.reason
        if (given?.aborted === true)
          throw integrationError('cancelled', { partner, what: `${kind}: the login was cancelled`, details: {} })
        throw error
      } finally {
        over.abort()
      }
    },
  }
}

/** A scheme whose tokens begin with a login, by whatever flow. */
const interactive = <M extends ClientMethod>(kind: string, options: OAuthOptions<M> & LoginOptions, flow: Flow) => {
  const method: ClientMethod = options.client ?? 'none'
  const credentials = z.strictObject(clientFields(method as M))
  return {
    kind,
    credentials,
    hosts: hostsOf(options),
    interactive: true,
    open: (given, context) => openLogin(kind, method, options, given as ClientCredentials, context, flow),
  } satisfies AuthScheme<typeof credentials>
}

/** A person logs in with a browser, and we get refresh tokens for it: authorization code with PKCE (RFC 7636) and a redirect to this machine (RFC 8252). Default client: `none`. */
export const authorizationCode = <M extends ClientMethod = 'none'>(
  options: OAuthOptions<M> &
    LoginOptions & {
      readonly redirect?: RedirectOptions
      /** Further parameters of the address that the browser opens, such as `prompt` or `access_type`. */
      readonly authorizeParameters?: Readonly<Record<string, string>>
    },
) => {
  const kind = 'oauth_authorization_code'
  return interactive(kind, options, async (issuer, { signal, ...person }, context) => {
    const { partner } = context
    const now = () => context.now()
    const asked = await issuer.asking(signal)
    const { oauth, as, client, auth } = asked
    if (as.authorization_endpoint === undefined) throw missing(partner, kind, 'authorization')
    const verifier = oauth.generateRandomCodeVerifier()
    const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()]
    const identity = options.scopes?.includes('openid') === true
    const loopback = await openLoopback(partner, options.redirect)
    try {
      const { redirectUri } = loopback
      const url = issuer.shown(as.authorization_endpoint)
      const challenge = await oauth.calculatePKCECodeChallenge(verifier)
      for (const name of issuer.parameters().keys()) url.searchParams.delete(name)
      for (const [name, value] of issuer.parameters()) url.searchParams.append(name, value)
      const parameters: Record<string, string> = {
        ...options.authorizeParameters,
        response_type: 'code',
        client_id: client.client_id,
        redirect_uri: redirectUri,
        state,
        code_challenge: challenge,
        code_challenge_method: 'S256',
        ...(identity ? { nonce } : {}),
      }
      for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
      const back = loopback.receive(
        state,
        async (answer) => {
          let callback: URLSearchParams
          try {
            callback = oauth.validateAuthResponse(as, client, answer, state)
          } catch (error) {
            throw refusedLogin(partner, kind, error, answer)
          }
          const at = now()
          const response = await oauth.authorizationCodeGrantRequest(
            as,
            client,
            auth,
            callback,
            redirectUri,
            verifier,
            {
              ...asked.options({ signal }),
              additionalParameters: resources(issuer),
            },
          )
          return issuer.tokens(at, response, (reply) =>
            oauth.processAuthorizationCodeResponse(as, client, reply, {
              expectedNonce: identity ? nonce : oauth.expectNoNonce,
              requireIdToken: identity,
            }),
          )
        },
        signal,
      )
      // Whatever ends the showing ends the login; the listener must not be left with a rejection of its own.
      back.catch(() => {})
      await person.show({ url: url.href, expiresAt: now() + (options.loginTimeoutMs ?? loginTimeoutMs) })
      return await back
    } finally {
      await loopback.close()
    }
  })
}

/** What the token request says again of what was asked for. */
const resources = (issuer: Issuer): URLSearchParams => {
  const all = issuer.parameters()
  all.delete('scope')
  return all
}
const missing = (partner: string, kind: string, which: string) =>
  integrationError('invalid_config', {
    partner,
    what: `${kind}: the issuer names no ${which} endpoint`,
    next: 'Check the address of the issuer, or use another scheme',
    details: { field: 'config' },
  })
const refusedLogin = (partner: string, kind: string, error: unknown, answer: URL) => {
  const said = ['error', 'error_description'].map((name) => answer.searchParams.get(name) ?? '').filter(Boolean)
  if (said.length > 0)
    return integrationError('forbidden', {
      partner,
      what: `${kind}: the issuer refused the login: ${oneLine(said.join(': ')).slice(0, 300)}`,
      next: `Run: ecokit login ${partner}, and allow the access`,
      details: {},
    })
  return integrationError('invalid_reply', {
    partner,
    what: `${kind}: the browser came back with an answer that cannot be trusted: ${error instanceof Error ? error.message : ''}`,
    next: `Run: ecokit login ${partner}`,
    details: {},
  })
}

/** A person logs in on another device: shows an address and a code to type there (RFC 8628). Default client: `none`. */
export const deviceCode = <M extends ClientMethod = 'none'>(options: OAuthOptions<M> & LoginOptions) => {
  const kind = 'oauth_device_code'
  return interactive(kind, options, async (issuer, { signal, ...person }, context) => {
    const { partner } = context
    const now = () => context.now()
    const asked = await issuer.asking(signal)
    const { oauth, as, client, auth } = asked
    if (as.device_authorization_endpoint === undefined) throw missing(partner, kind, 'device authorization')
    const settings = () => asked.options({ signal })
    const begun = await oauth.deviceAuthorizationRequest(as, client, auth, issuer.parameters(), settings())
    const refusal = refusalOf(begun)
    if (refusal !== undefined) throw issuer.fail(refusal)
    const started = now()
    const device = await oauth.processDeviceAuthorizationResponse(as, client, begun)
    const expiresAt = started + device.expires_in * 1000
    await person.show({
      url: issuer.shown(device.verification_uri_complete ?? device.verification_uri).href,
      code: device.user_code,
      expiresAt,
    })
    const expired = integrationError('timeout', {
      partner,
      what: `${kind}: the code expired before anybody used it`,
      next: `Run: ecokit login ${partner}`,
      details: { timeoutMs: device.expires_in * 1000 },
    })
    let waitMs = (device.interval ?? 5) * 1000
    for (;;) {
      await context.sleep(waitMs, signal)
      if (now() > expiresAt) throw expired
      const at = now()
      try {
        const response = await oauth.deviceCodeGrantRequest(as, client, auth, device.device_code, {
          ...settings(),
          additionalParameters: resources(issuer),
        })
        const said = refusalOf(response)?.error
        if (said === 'authorization_pending') continue
        if (said === 'slow_down') {
          waitMs += 5_000
          continue
        }
        if (said === 'expired_token') throw expired
        return await issuer.tokens(at, response, (reply) => oauth.processDeviceCodeResponse(as, client, reply))
      } catch (error) {
        // RFC 8628, 3.5: after a timeout of the connection, ask less often.
        if (error === expired || !isIntegrationError(error) || !error.retryable) throw error
        waitMs *= 2
      }
    }
  })
}
