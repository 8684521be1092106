import { generateKeyPairSync } from 'node:crypto'
import {
  apiKey,
  authorizationCode,
  awsSigV4,
  basic,
  bearer,
  clientCredentials,
  databricksMachineToMachine,
  deviceCode,
  googleServiceAccount,
  hmacSigning,
  microsoftEntraCertificate,
  microsoftEntraSecret,
  mutualTls,
  refreshToken,
  snowflakeKeyPair,
  tokenExchange,
} from '../../../packages/core/auth/src/index.ts'
import type { AuthScheme } from '../../../packages/core/contracts/src/index.ts'

/** One way to authorise, and credentials for it whose every secret field holds a word that can be searched for. */
export interface Planted {
  readonly scheme: AuthScheme
  readonly credentials: Readonly<Record<string, string>>
  readonly secrets: readonly { readonly field: string; readonly secret: string }[]
}

const tokenEndpoint = '{trackingUri}/token'
/** Private keys are dear to make, so there are three, whose lines are searched for. */
const keys = Array.from(
  { length: 3 },
  () =>
    generateKeyPairSync('rsa', {
      modulusLength: 2048,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }).privateKey,
)
const anyScheme = (scheme: unknown): AuthScheme => scheme as AuthScheme
/** Fields that are no secret have a value; secrets are named. */
const schemes: Readonly<
  Record<
    string,
    {
      readonly scheme: AuthScheme
      readonly open?: Readonly<Record<string, string>>
      readonly secret: readonly string[]
    }
  >
> = {
  bearer: { scheme: anyScheme(bearer()), secret: ['token'] },
  basic: { scheme: anyScheme(basic()), open: { username: 'someone' }, secret: ['password'] },
  'key in a header': { scheme: anyScheme(apiKey({ header: 'x-api-key' })), secret: ['apiKey'] },
  'key in the query': { scheme: anyScheme(apiKey({ query: 'key' })), secret: ['apiKey'] },
  hmac: {
    scheme: anyScheme(
      hmacSigning({
        signed: ['method', 'target', 'timestamp'],
        headers: { authorization: 'HMAC {key_id}:{signature}', 'x-time': '{timestamp}' },
      }),
    ),
    open: { keyId: 'key-1' },
    secret: ['key'],
  },
  sigv4: {
    scheme: anyScheme(awsSigV4({ service: 's3', region: 'eu-west-1' })),
    open: { accessKeyId: 'AKIAEXAMPLE' },
    secret: ['secretAccessKey', 'sessionToken'],
  },
  'client credentials, basic': {
    scheme: anyScheme(clientCredentials({ tokenEndpoint, client: 'client_secret_basic' })),
    open: { clientId: 'client' },
    secret: ['clientSecret'],
  },
  'client credentials, post': {
    scheme: anyScheme(clientCredentials({ tokenEndpoint, client: 'client_secret_post' })),
    open: { clientId: 'client' },
    secret: ['clientSecret'],
  },
  'client credentials, signed': {
    scheme: anyScheme(clientCredentials({ tokenEndpoint, client: 'private_key_jwt' })),
    open: { clientId: 'client' },
    secret: ['privateKey'],
  },
  refresh: {
    scheme: anyScheme(refreshToken({ tokenEndpoint, client: 'client_secret_post' })),
    open: { clientId: 'client' },
    secret: ['clientSecret', 'refreshToken'],
  },
  exchange: {
    scheme: anyScheme(tokenExchange({ tokenEndpoint, client: 'client_secret_basic' })),
    open: { clientId: 'client' },
    secret: ['clientSecret', 'subjectToken'],
  },
  code: {
    scheme: anyScheme(
      authorizationCode({
        tokenEndpoint,
        authorizationEndpoint: '{trackingUri}/authorize',
        client: 'client_secret_post',
      }),
    ),
    open: { clientId: 'client' },
    secret: ['clientSecret'],
  },
  device: {
    scheme: anyScheme(
      deviceCode({ tokenEndpoint, deviceEndpoint: '{trackingUri}/device', client: 'client_secret_post' }),
    ),
    open: { clientId: 'client' },
    secret: ['clientSecret'],
  },
  databricks: {
    scheme: anyScheme(databricksMachineToMachine({ host: '{trackingUri}' })),
    open: { clientId: 'client' },
    secret: ['clientSecret'],
  },
  entra: {
    scheme: anyScheme(microsoftEntraSecret({ tenant: 'tenant', scope: 'all', authority: '{trackingUri}' })),
    open: { clientId: 'client' },
    secret: ['clientSecret'],
  },
  'entra certificate': {
    scheme: anyScheme(microsoftEntraCertificate({ tenant: 'tenant', scope: 'all', authority: '{trackingUri}' })),
    open: { clientId: 'client', certificate: 'no certificate' },
    secret: ['privateKey', 'privateKeyPassphrase'],
  },
  google: {
    scheme: anyScheme(googleServiceAccount({ scopes: ['all'], tokenUri: tokenEndpoint })),
    open: { clientEmail: 'robot@example.com' },
    secret: ['privateKey'],
  },
  'google, a key file that is none': { scheme: anyScheme(googleServiceAccount({ scopes: ['all'] })), secret: ['key'] },
  snowflake: {
    scheme: anyScheme(snowflakeKeyPair({ account: 'org-account' })),
    open: { user: 'someone' },
    secret: ['privateKey'],
  },
  'mutual TLS': {
    scheme: anyScheme(mutualTls()),
    open: { certificate: 'no certificate' },
    secret: ['privateKey', 'privateKeyPassphrase'],
  },
}
export const schemeNames = Object.keys(schemes)

/** Fills the secret fields of a scheme; `word` makes the secrets. */
export const plantIn = (name: string, index: number, word: () => string): Planted => {
  const found = schemes[name]
  if (found === undefined) throw new Error(`no such scheme: ${name}`)
  const secrets = found.secret.map((field) => ({
    field: `${name}: ${field}`,
    name: field,
    // Every other private key is one; the rest are words, which are refused.
    secret: field === 'privateKey' && index % 2 === 0 ? (keys[index % keys.length] ?? '') : word(),
  }))
  const credentials = {
    ...found.open,
    ...Object.fromEntries(secrets.map(({ name: field, secret }) => [field, secret])),
  }
  return { scheme: found.scheme, credentials, secrets }
}
