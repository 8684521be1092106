import { Buffer } from 'node:buffer'
import { z } from 'zod'
import { secret, type AuthScheme } from '@ecokit/contracts'

/** Visible ASCII: what may stand in a header without being able to end it. */
const headerText = (what: string) =>
  secret()
    .regex(/^[\x21-\x7e]+$/, `${what} may hold no spaces, line breaks or characters outside of ASCII`)
    .meta({ secret: true })

/** No credentials at all. */
export const none = () =>
  ({
    kind: 'none',
    credentials: z.strictObject({}),
    open: () => ({ authorize: () => {} }),
  }) satisfies AuthScheme

/** `Authorization: Bearer <token>` (RFC 6750). */
export const bearer = () => {
  const credentials = z.strictObject({ token: headerText('a token') })
  return {
    kind: 'bearer',
    credentials,
    open: ({ token }) => {
      const value = `Bearer ${token}`
      return {
        authorize: ({ headers }) => {
          headers.set('authorization', value)
        },
      }
    },
  } satisfies AuthScheme<typeof credentials>
}

/** `Authorization: Basic <base64>` over UTF-8 (RFC 7617), which forbids ":" in the user name and control characters in both. */
export const basic = () => {
  const credentials = z.strictObject({
    username: z.string().regex(/^[^:\p{Cc}]*$/u, 'a user name may hold no ":" and no control characters'),
    password: secret()
      .regex(/^\P{Cc}+$/u, 'a password may hold no line breaks or other control characters')
      .meta({ secret: true }),
  })
  return {
    kind: 'basic',
    credentials,
    open: ({ username, password }) => {
      const value = `Basic ${Buffer.from(`${username}:${password}`.normalize('NFC')).toString('base64')}`
      return {
        authorize: ({ headers }) => {
          headers.set('authorization', value)
        },
      }
    },
  } satisfies AuthScheme<typeof credentials>
}

/** A key in a header or in the query, whatever the partner calls it. */
export const apiKey = (place: { readonly header: string } | { readonly query: string }) => {
  const credentials = z.strictObject({ apiKey: headerText('an API key') })
  return {
    kind: 'api_key',
    credentials,
    open: ({ apiKey: key }) => ({
      authorize: (request) => {
        if ('header' in place) request.headers.set(place.header, key)
        else {
          const { url } = request
          // A next page's address that the partner made of ours has the key already.
          if (url.searchParams.has(place.query)) url.searchParams.delete(place.query)
          const mark = url.search === '' ? '?' : '&'
          url.search += `${mark}${encodeURIComponent(place.query)}=${encodeURIComponent(key)}`
        }
      },
    }),
  } satisfies AuthScheme<typeof credentials>
}

export { hmacSigning, type HmacDesign, type HmacPart } from './hmac.ts'
export { awsSigV4, explainAws, type AwsSigV4Options } from './sigv4.ts'
export { openTokens, type TokenSet, type TokenSource, type TokenTiming, type Tokens } from './tokens.ts'
export { clientCredentials, refreshToken, tokenExchange, type RefreshOptions } from './oauth.ts'
export { authorizationCode, deviceCode, type LoginOptions } from './oauth-login.ts'
export type { ClientMethod } from './oauth-client.ts'
export type { OAuthOptions } from './oauth-issuer.ts'
export type { RedirectOptions } from './loopback.ts'
export { databricksMachineToMachine, type DatabricksOptions } from './databricks.ts'
export { microsoftEntraCertificate, microsoftEntraFederated, microsoftEntraSecret, type EntraOptions } from './entra.ts'
export { googleServiceAccount, type GoogleOptions } from './google.ts'
export { mutualTls } from './mutual-tls.ts'
export { snowflakeKeyPair, type SnowflakeOptions } from './snowflake.ts'
