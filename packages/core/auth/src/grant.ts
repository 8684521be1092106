import type { ClientAuth } from 'oauth4webapi'
import type { AuthContext, Authorizer } from '@ecokit/contracts'
import { tokenAuthorizer } from './oauth-authorizer.ts'
import type { ClientCredentials, ClientMethod } from './oauth-client.ts'
import { refusalError, refusalOf } from './oauth-http.ts'
import { openIssuer, type OAuthOptions } from './oauth-issuer.ts'
import { openTokens } from './tokens.ts'

/** A platform's own way to ask for a token: one request, each time with a fresh proof. */
export interface Grant {
  /** The scheme's kind. */
  readonly scheme: string
  /** The field that a refused proof stands in. */
  readonly field: string
  readonly options: OAuthOptions
  readonly client?: { readonly method: ClientMethod; readonly credentials: ClientCredentials }
  /** What else tells these tokens from others of this partner; never a secret. */
  readonly about?: readonly string[]
  /** The grant and its parameters, and the client's proof where it is none of the usual ones, made for that endpoint. */
  proof(tokenEndpoint: string): Promise<{
    readonly grantType: string
    readonly parameters?: Readonly<Record<string, string>>
    readonly auth?: ClientAuth
  }>
}

/** An authorizer whose tokens come by that grant, one exchange at a time for all processes. */
export const openGrant = (context: AuthContext, grant: Grant): Authorizer => {
  const { method, credentials } = grant.client ?? { method: 'none', credentials: {} }
  const issuer = openIssuer(context, grant.scheme, method, grant.options, credentials)
  return tokenAuthorizer(
    openTokens(context, {
      scheme: grant.scheme,
      key: issuer.key(grant.about),
      fetch: async (_current, step) => {
        const asked = await issuer.asking(step.signal)
        const { oauth, as, client } = asked
        const { grantType, parameters = {}, auth = asked.auth } = await grant.proof(as.token_endpoint ?? '')
        const form = issuer.parameters()
        for (const [name, value] of Object.entries(parameters)) form.set(name, value)
        const at = context.now()
        const settings = asked.options(step)
        const response = await oauth.genericTokenEndpointRequest(as, client, auth, grantType, form, settings)
        const refusal = refusalOf(response)
        if (refusal !== undefined) throw refusalError(context.partner, grant.scheme, grant.field, refusal)
        return issuer.tokens(at, response, (reply) => oauth.processGenericTokenEndpointResponse(as, client, reply))
      },
    }),
  )
}
