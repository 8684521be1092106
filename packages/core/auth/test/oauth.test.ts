import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { authorizationCode, clientCredentials } from '../src/index.ts'
import { browse } from '@ecokit/peers'
import { authorization, contextOf, failure, issuer } from './oauth-support.ts'

const machine = { client_id: 'machine', client_secret: 'a secret of the machine: %&+' }

test.each(['client_secret_basic', 'client_secret_post'] as const)('client credentials with %s', async (method) => {
  const { url, exchanges } = await issuer({ clients: [{ ...machine, token_endpoint_auth_method: method }] })
  const scheme = clientCredentials({ issuer: '{issuer}', client: method, scopes: ['api'] })
  const context = contextOf({ issuer: url })
  const right = scheme.open({ clientId: 'machine', clientSecret: machine.client_secret }, context)
  expect(await right.status()).toEqual({ state: 'missing' })
  const [first, second] = await Promise.all([authorization(right), authorization(right)])
  expect(first).toMatch(/^Bearer \S{20,}$/)
  expect(second).toBe(first)
  expect(await right.status()).toMatchObject({ state: 'ready' })
  expect(exchanges).toEqual([{ grant: 'client_credentials', at: expect.any(Number) as number }])

  const wrong = scheme.open({ clientId: 'machine', clientSecret: 'wrong secret' }, contextOf({ issuer: url }))
  const error = await failure(authorization(wrong), 'invalid_credentials')
  expect(error.message).toMatch(/^acme: oauth_client_credentials: the issuer refused a token: invalid_client/)
  expect(error.details).toEqual({ field: 'credentials.clientSecret' })
  expect(JSON.stringify([error.message, error.details])).not.toContain('wrong secret')
  // Remembered for a moment, so that an issuer does not lock the client out.
  const before = exchanges.length
  await failure(authorization(wrong), 'invalid_credentials')
  expect(exchanges.length).toBe(before)
})

test('a client that signs, and an assertion that is sent twice', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { url } = await issuer({
    clients: [
      {
        client_id: 'signer',
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: 'ES256' }] },
      },
    ],
  })
  const scheme = clientCredentials({ issuer: '{issuer}', client: 'private_key_jwt' })
  const pem = privateKey.export({ type: 'sec1', format: 'pem' }).toString()
  const context = contextOf({ issuer: url })
  const bodies: string[] = []
  const spied = {
    ...context,
    http: (...[base, options]: Parameters<typeof context.http>) => {
      const http = context.http(base, options)
      return {
        ...http,
        request: (...[request, given]: Parameters<typeof http.request>) => {
          if (request.body instanceof Uint8Array) bodies.push(Buffer.from(request.body).toString())
          return http.request(request, given)
        },
      }
    },
  }
  expect(await authorization(scheme.open({ clientId: 'signer', privateKey: pem, keyId: 'k1' }, spied))).toMatch(
    /^Bearer /,
  )
  expect(bodies).toHaveLength(1)
  const replay = await fetch(`${url}/token`, { method: 'POST', body: new URLSearchParams(bodies[0]) })
  expect(replay.status).toBe(401)
  expect(await replay.json()).toMatchObject({ error: 'invalid_client' })

  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  const wrong = scheme.open(
    { clientId: 'signer', privateKey: other.toString(), keyId: 'k1' },
    contextOf({ issuer: url }),
  )
  expect((await failure(authorization(wrong), 'invalid_credentials')).details.field).toBe('credentials.privateKey')
})

const app = {
  client_id: 'app',
  token_endpoint_auth_method: 'none',
  application_type: 'native',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback'],
}
const appScheme = () =>
  authorizationCode({
    issuer: '{issuer}',
    scopes: ['openid', 'offline_access', 'api'],
    authorizeParameters: { prompt: 'consent' },
  })

test('a login by browser with PKCE, renewed with rotating refresh tokens', async () => {
  const { url } = await issuer({ clients: [app] })
  const authorizer = appScheme().open({ clientId: 'app' }, contextOf({ issuer: url }))
  const nobody = await failure(authorization(authorizer), 'reauthorization_required')
  expect(nobody.message).toBe('acme: oauth_authorization_code: nobody has logged in yet. Run: ecokit login acme')
  let page: { status: number; text: string } | undefined
  const status = await authorizer.login?.({
    show: async (step) => {
      page = await browse(step.url)
    },
  })
  expect(status).toMatchObject({ state: 'ready' })
  expect(page?.text).toContain('Logged in')
})
