import type { Authorizer, CallOptions } from '@ecokit/contracts'
import type { Issuer } from './oauth-issuer.ts'
import { refusalOf } from './oauth-http.ts'
import { reauthorizationRequired } from './token-errors.ts'
import type { Tokens, TokenSet, TokenSource } from './tokens.ts'

/** `Authorization: Bearer <token>` on each request, from a token source. */
export const tokenAuthorizer = (
  tokens: Tokens,
  also: { readonly beforeLogout?: (options?: CallOptions) => Promise<void> } = {},
): Required<Pick<Authorizer, 'authorize' | 'refused' | 'status' | 'logout' | 'close'>> => {
  // Which token a call was sent with: by the time it is refused, another one may be in use.
  const sent = new WeakMap<CallOptions, string>()
  let last = ''
  return {
    authorize: async ({ headers }, options) => {
      const { accessToken } = await tokens.token(options)
      last = accessToken
      if (options !== undefined) sent.set(options, accessToken)
      headers.set('authorization', `Bearer ${accessToken}`)
    },
    refused: (options) => tokens.refused((options === undefined ? undefined : sent.get(options)) ?? last, options),
    status: (options) => tokens.status(options),
    logout: async (options) => {
      // Whatever cannot be read, or told, is forgotten all the same.
      await also.beforeLogout?.(options).catch(() => {})
      await tokens.forget()
    },
    close: () => tokens.close(),
  }
}

/** The refresh grant (RFC 6749, 6) as a token source. */
export const refreshSource = (
  partner: string,
  scheme: string,
  issuer: Issuer,
  about: { readonly singleUse: boolean; readonly reuseWindowMs?: number | undefined; readonly now: () => number },
): Pick<TokenSource, 'scheme' | 'rotating' | 'reuseWindowMs' | 'fetch' | 'stillActive'> => ({
  scheme,
  rotating: about.singleUse,
  ...(about.reuseWindowMs === undefined ? {} : { reuseWindowMs: about.reuseWindowMs }),
  fetch: async (current, step) => {
    const { signal } = step
    const refreshToken = current?.refreshToken ?? ''
    if (about.singleUse) await issuer.warm()
    const asked = await issuer.asking(signal)
    const { oauth, as, client, auth } = asked
    const at = about.now()
    // The scopes are those of the login: the grant carries them.
    const additionalParameters = issuer.parameters()
    additionalParameters.delete('scope')
    const response = await oauth.refreshTokenGrantRequest(as, client, auth, refreshToken, {
      ...asked.options(step),
      additionalParameters,
    })
    const refusal = refusalOf(response)
    if (refusal?.error === 'invalid_grant')
      throw reauthorizationRequired(partner, scheme, 'the issuer no longer accepts the login', refusal.words)
    return issuer.tokens(
      at,
      await withoutIdToken(response),
      (reply) => oauth.processRefreshTokenResponse(as, client, reply),
      current,
    )
  },
  stillActive: async (current) => {
    const asked = await issuer.asking()
    const { oauth, as, client, auth } = asked
    if (as.introspection_endpoint === undefined || current.refreshToken === undefined) return undefined
    const response = await oauth.introspectionRequest(as, client, auth, current.refreshToken, {
      ...asked.options(),
      additionalParameters: { token_type_hint: 'refresh_token' },
    })
    const refusal = refusalOf(response)
    if (refusal !== undefined) {
      const error = issuer.fail(refusal)
      // A client that may not ask gets no answer; an issuer that cannot answer now is asked again.
      if (error.retryable) throw error
      return undefined
    }
    const { active } = await oauth.processIntrospectionResponse(as, client, response)
    return active
  },
})

/** An id token that we have no use for must not cost a refresh token that is used up already. */
const withoutIdToken = async (response: Response): Promise<Response> => {
  if (refusalOf(response) !== undefined) return response
  const { status, headers } = response
  const text = await response.text()
  try {
    const { id_token: unused, ...rest } = JSON.parse(text) as Record<string, unknown>
    if (unused !== undefined) return new Response(JSON.stringify(rest), { status, headers })
  } catch {
    // Said by whoever reads it.
  }
  return new Response(text, { status, headers })
}

/** Tells the issuer that a login is over (RFC 7009), where it can be told; what it says changes nothing here. */
export const revoke = async (issuer: Issuer, tokens: TokenSet | undefined, options?: CallOptions): Promise<void> => {
  const token = tokens?.refreshToken
  if (token === undefined) return
  try {
    const asked = await issuer.asking(options?.signal)
    const { oauth, as, client, auth } = asked
    if (as.revocation_endpoint === undefined) return
    await oauth.revocationRequest(as, client, auth, token, asked.options({ signal: options?.signal }))
  } catch {
    // The tokens are forgotten on our side in any case.
  }
}
