import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { jwtVerify, SignJWT } from 'jose'
import { expect, onTestFinished, test } from 'vitest'
import { clientCredentials, tokenExchange } from '../src/index.ts'
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

const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange'

test('a workload exchanges the token of its platform, read anew each time', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subjects: string[] = []
  const { url } = await issuer({
    clients: [{ client_id: 'workload', token_endpoint_auth_method: 'none', grant_types: [grantType] }],
    // oidc-provider has no exchange of its own, so this is one of ours; the client, its grants and the error's form are oidc-provider's.
    configure: (provider) => {
      provider.registerGrantType(
        grantType,
        async (context) => {
          const { subject_token: token = '' } = context.oidc.params ?? {}
          try {
            const { payload } = await jwtVerify(token, publicKey, { issuer: 'https://cluster.example', audience: url })
            subjects.push(payload.sub ?? '')
            context.body = {
              access_token: `exchanged-${subjects.length}`,
              token_type: 'Bearer',
              expires_in: 3,
              issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
            }
          } catch {
            context.status = 400
            context.body = { error: 'invalid_request', error_description: `cannot take ${token}` }
          }
        },
        ['subject_token', 'subject_token_type', 'scope', 'audience'],
      )
    },
  })
  const sign = (sub: string, audience = url) =>
    new SignJWT({ sub })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer('https://cluster.example')
      .setAudience(audience)
      .setExpirationTime('1m')
      .sign(privateKey)
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-token-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = path.join(folder, 'token')
  await writeFile(file, `${await sign('pod-1')}\n`)
  const scheme = tokenExchange({ issuer: '{issuer}' })
  const authorizer = scheme.open(
    scheme.credentials.parse({ clientId: 'workload', subjectTokenFile: file }),
    contextOf({ issuer: url }),
  )
  expect(await authorization(authorizer)).toBe('Bearer exchanged-1')
  await writeFile(file, await sign('pod-2'))
  expect(await authorizer.refused({})).toBe(true)
  expect(await authorization(authorizer)).toBe('Bearer exchanged-2')
  expect(subjects).toEqual(['pod-1', 'pod-2'])

  const foreign = await sign('pod-3', 'https://other.example')
  const refused = scheme.open({ clientId: 'workload', subjectToken: foreign }, contextOf({ issuer: url }))
  const error = await failure(authorization(refused), 'rejected')
  expect(error.message).toContain('invalid_request: cannot take ***')
  expect(error.message).not.toContain(foreign)
  const without = (credentials: object) =>
    authorization(scheme.open({ clientId: 'workload', ...credentials }, contextOf({ issuer: url })))
  expect((await failure(without({}), 'invalid_credentials')).details.field).toBe('credentials.subjectToken')
  const missing = await failure(without({ subjectTokenFile: path.join(folder, 'none') }), 'invalid_credentials')
  expect(missing.message).toContain('cannot be read (ENOENT)')
})

test('a token endpoint on a host that nobody declared gets no credentials', async () => {
  const received: string[] = []
  const elsewhere = createServer((request, response) => {
    received.push(request.url ?? '')
    response.end()
  })
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void elsewhere.close())
  const away = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`
  let issuerUrl = ''
  const metadata = createServer((_, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ issuer: issuerUrl, token_endpoint: `${away}/token` }))
  })
  await new Promise<void>((resolve) => metadata.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void metadata.close())
  issuerUrl = `http://127.0.0.1:${(metadata.address() as AddressInfo).port}`
  const scheme = clientCredentials({ issuer: '{issuer}' })
  expect(scheme.hosts).toEqual(['{issuer}'])
  const given = { clientId: 'machine', clientSecret: 'secret' }
  await failure(authorization(scheme.open(given, contextOf({ issuer: issuerUrl }))), 'host_not_allowed')
  expect(received).toEqual([])

  // Metadata of another issuer is not taken either.
  issuerUrl = 'http://127.0.0.1:1'
  const port = (metadata.address() as AddressInfo).port
  const error = await failure(
    authorization(scheme.open(given, contextOf({ issuer: `http://127.0.0.1:${port}` }))),
    'invalid_reply',
  )
  expect(error.message).toContain("the issuer's metadata cannot be used")
})

test('hosts are those of the addresses, with the fields of the config in them', () => {
  expect(clientCredentials({ issuer: '{host}/oidc', hosts: ['tokens.{region}.example.com'] }).hosts).toEqual([
    '{host}',
    'tokens.{region}.example.com',
  ])
  expect(clientCredentials({ tokenEndpoint: 'https://login.example.com/{tenant}/oauth2/v2.0/token' }).hosts).toEqual([
    'https://login.example.com',
  ])
  expect(tokenExchange({ metadata: 'https://{account}.example.com/.well-known/x' }).hosts).toEqual([
    'https://{account}.example.com',
  ])
})

test('endpoints that are given need no discovery; a base URL may end with a slash', async () => {
  const { url, exchanges } = await issuer({ clients: [machine] })
  const scheme = clientCredentials({ tokenEndpoint: '{issuer}/token', parameters: { extra: '{name}' } })
  const context = contextOf({ issuer: `${url}/`, name: 'x' })
  expect(
    await authorization(scheme.open({ clientId: 'machine', clientSecret: machine.client_secret }, context)),
  ).toMatch(/^Bearer /)
  expect(exchanges.length).toBe(1)
})
