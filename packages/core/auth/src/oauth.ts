import { readFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { integrationError, secret, type AuthScheme } from '@ecokit/contracts'
import { clientFields, type ClientCredentials, type ClientMethod } from './oauth-client.ts'
import { refreshSource, tokenAuthorizer } from './oauth-authorizer.ts'
import { hostsOf, openIssuer, type OAuthOptions } from './oauth-issuer.ts'
import { openTokens, type TokenTiming } from './tokens.ts'

/** Machine to machine: the client asks for tokens in its own name (RFC 6749, 4.4). Default client: `client_secret_basic`. */
export const clientCredentials = <M extends Exclude<ClientMethod, 'none'> = 'client_secret_basic'>(
  options: OAuthOptions<M>,
) => {
  const kind = 'oauth_client_credentials'
  const method: ClientMethod = options.client ?? 'client_secret_basic'
  const credentials = z.strictObject(clientFields(method as M))
  return {
    kind,
    credentials,
    hosts: hostsOf(options),
    open: (given, context) => {
      const issuer = openIssuer(context, kind, method, options, given as ClientCredentials)
      const tokens = openTokens(context, {
        scheme: kind,
        key: issuer.key(),
        fetch: async (_, step) => {
          const asked = await issuer.asking(step.signal)
          const { oauth, as, client, auth } = asked
          const at = context.now()
          const settings = asked.options(step)
          const response = await oauth.clientCredentialsGrantRequest(as, client, auth, issuer.parameters(), settings)
          return issuer.tokens(at, response, (reply) => oauth.processClientCredentialsResponse(as, client, reply))
        },
      })
      return tokenAuthorizer(tokens)
    },
  } satisfies AuthScheme<typeof credentials>
}

/** What is known of an issuer's refresh tokens. */
export interface RefreshOptions {
  /** Default `single_use`: after a crash in the middle of an exchange one is not sent again blindly. `reusable` only where the issuer says that it never rotates them. */
  readonly refreshTokens?: 'single_use' | 'reusable'
  /** How long (ms) the issuer takes a used one again, by its documentation. Default 0: never. */
  readonly reuseWindowMs?: number
  readonly timing?: TokenTiming
}

/** A refresh token that somebody was given elsewhere; where the issuer rotates it, its successors are kept in our store. Default client: `none`. */
export const refreshToken = <M extends ClientMethod = 'none'>(options: OAuthOptions<M> & RefreshOptions) => {
  const kind = 'oauth_refresh_token'
  const method: ClientMethod = options.client ?? 'none'
  const credentials = z.strictObject({ ...clientFields(method as M), refreshToken: secret() })
  return {
    kind,
    credentials,
    hosts: hostsOf(options),
    open: (given, context) => {
      const { refreshToken: first } = given as unknown as { refreshToken: string }
      const issuer = openIssuer(context, kind, method, options, given as ClientCredentials)
      const singleUse = options.refreshTokens !== 'reusable'
      const about = { singleUse, reuseWindowMs: options.reuseWindowMs, now: () => context.now() }
      const tokens = openTokens(
        context,
        {
          ...refreshSource(context.partner, kind, issuer, about),
          // Another first token is another login.
          key: issuer.key([createHash('sha256').update(first).digest('hex')]),
          seed: { accessToken: '', expiresAt: 0, refreshedAt: 0, refreshToken: first },
        },
        options.timing,
      )
      return tokenAuthorizer(tokens)
    },
  } satisfies AuthScheme<typeof credentials>
}

const invalidSubject = (partner: string, field: string, what: string, next: string) =>
  integrationError('invalid_credentials', { partner, what, next, details: { field } })

/** Workload identity: the token that this machine or pod was given is exchanged for one of the partner (RFC 8693). Default client: `none`, whose id may be left out. */
export const tokenExchange = <M extends ClientMethod = 'none'>(
  options: OAuthOptions<M> & {
    /** Default: a JWT. */
    readonly subjectTokenType?: string
    readonly requestedTokenType?: string
  },
) => {
  const kind = 'oauth_token_exchange'
  const method: ClientMethod = options.client ?? 'none'
  const { clientId, ...fields } = clientFields(method as M)
  const credentials = z.strictObject({
    clientId: clientId.optional(),
    ...fields,
    subjectToken: secret().optional(),
    /** Read anew for each exchange, since whoever writes it rotates it. */
    subjectTokenFile: z.string().min(1).optional(),
  })
  return {
    kind,
    credentials,
    hosts: hostsOf(options),
    open: (given, context) => {
      const { partner } = context
      const { subjectToken, subjectTokenFile: file } = given as { subjectToken?: string; subjectTokenFile?: string }
      const issuer = openIssuer(context, kind, method, options, given as ClientCredentials)
      const subject = async (): Promise<string> => {
        if (file === undefined) {
          if (subjectToken !== undefined) return subjectToken
          throw invalidSubject(
            partner,
            'credentials.subjectToken',
            'there is no token to exchange',
            'Set subjectToken or subjectTokenFile',
          )
        }
        const text = await readFile(file, 'utf8').catch((error: unknown) => {
          const { code = 'unknown' } = error as NodeJS.ErrnoException
          throw invalidSubject(
            partner,
            'credentials.subjectTokenFile',
            `the file with the token to exchange cannot be read (${code})`,
            'Check its path, and whether it is mounted',
          )
        })
        if (text.trim() !== '') return text.trim()
        throw invalidSubject(
          partner,
          'credentials.subjectTokenFile',
          'the file with the token to exchange is empty',
          'Check what writes it',
        )
      }
      const tokens = openTokens(context, {
        scheme: kind,
        key: issuer.key([file ?? '']),
        fetch: async (_, step) => {
          const asked = await issuer.asking(step.signal)
          const { oauth, as, client, auth } = asked
          const at = context.now()
          const parameters = issuer.parameters()
          parameters.set('subject_token', await subject())
          parameters.set('subject_token_type', options.subjectTokenType ?? 'urn:ietf:params:oauth:token-type:jwt')
          if (options.requestedTokenType !== undefined)
            parameters.set('requested_token_type', options.requestedTokenType)
          const grant = 'urn:ietf:params:oauth:grant-type:token-exchange'
          const settings = asked.options(step)
          const response = await oauth.genericTokenEndpointRequest(as, client, auth, grant, parameters, settings)
          return issuer.tokens(at, response, (reply) => oauth.processGenericTokenEndpointResponse(as, client, reply))
        },
      })
      return tokenAuthorizer(tokens)
    },
  } satisfies AuthScheme<typeof credentials>
}
