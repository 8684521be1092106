import { createPublicKey } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider from 'oidc-provider'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { exportJWK } from 'jose'
import { databricksMachineToMachine, microsoftEntraCertificate, microsoftEntraSecret } from '../src/index.ts'
import { applicationCertificate, applicationKey } from './fixtures/certificates.ts'
import { refusal, through } from './through.ts'

/** oidc-provider, a certified one, at the paths of a Databricks workspace and of Microsoft Entra; /api takes its tokens. */
let server: Server
let url = ''
const asked: { path: string; form: string; authorization: string | undefined }[] = []
const secret = 'a%secret:with+signs/and spaces?'
const scope = 'https://storage.azure.com/.default'

const serve = (token: string, jwk: object): ReturnType<Provider['callback']> => {
  const client = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] as const }
  const provider = new Provider(url, {
    clients: [
      {
        ...client,
        client_id: 'principal',
        client_secret: secret,
        token_endpoint_auth_method: 'client_secret_basic',
        scope: 'all-apis',
      },
      {
        ...client,
        client_id: 'application',
        client_secret: secret,
        token_endpoint_auth_method: 'client_secret_post',
        scope,
      },
      {
        ...client,
        client_id: 'certified',
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'PS256',
        jwks: { keys: [{ ...jwk, alg: 'PS256', use: 'sig' }] },
        scope,
      },
    ] as never,
    scopes: ['all-apis', scope],
    routes: { token },
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    enabledJWA: { clientAuthSigningAlgValues: ['PS256'] },
    cookies: { keys: ['k'] },
    ttl: { ClientCredentials: 3600 },
  })
  providers.push(provider)
  return provider.callback()
}
const providers: Provider[] = []

beforeAll(async () => {
  // It warns of what is meant here: state in memory, keys of its own.
  const quiet = [vi.spyOn(console, 'warn'), vi.spyOn(console, 'info')].map((spy) => spy.mockReturnValue())
  const jwk = await exportJWK(createPublicKey(applicationKey))
  const platforms = new Map<string, ReturnType<Provider['callback']>>()
  server = createServer((request, response) => {
    const place = request.url ?? ''
    if (place === '/api') {
      const token = (request.headers.authorization ?? '').replace('Bearer ', '')
      void Promise.all(providers.map((provider) => provider.ClientCredentials.find(token))).then((found) => {
        response.writeHead(found.some((each) => each !== undefined) ? 200 : 401).end('{}')
      })
      return
    }
    if (place.startsWith('/contoso/')) void platforms.get('entra')?.(request, response)
    else {
      // Databricks keeps the description of its endpoints here.
      if (place === '/oidc/.well-known/oauth-authorization-server') request.url = '/.well-known/openid-configuration'
      void platforms.get('databricks')?.(request, response)
    }
    if (request.method === 'POST') {
      let form = ''
      request.on('data', (chunk: Buffer) => (form += chunk.toString()))
      request.on('end', () => asked.push({ path: place, form, authorization: request.headers.authorization }))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  platforms.set('databricks', serve('/oidc/v1/token', jwk))
  platforms.set('entra', serve('/contoso/oauth2/v2.0/token', jwk))
  for (const spy of quiet) spy.mockRestore()
})
afterAll(() => new Promise((resolve) => server.close(resolve)))

test('Databricks: the endpoint is the one that the workspace names, and id and secret go in the Basic header', async () => {
  asked.length = 0
  const scheme = databricksMachineToMachine({ host: '{host}' })
  const at = { url, config: { host: `${url}/` } }
  const { status, network } = through(scheme, { clientId: 'principal', clientSecret: secret }, at)
  expect(await status()).toBe(200)
  expect(await status()).toBe(200)
  await network.close()
  expect(asked).toEqual([
    {
      path: '/oidc/v1/token',
      form: 'scope=all-apis&grant_type=client_credentials',
      authorization: expect.stringMatching(/^Basic /) as string,
    },
  ])
  const wrong = through(scheme, { clientId: 'principal', clientSecret: 'wrong-secret-1' }, at)
  const refused = await refusal(wrong.status())
  await wrong.network.close()
  expect(refused).toMatchObject({ code: 'invalid_credentials', field: 'credentials.clientSecret' })
  expect(refused.text).not.toContain('wrong-secret-1')
})
test('Databricks: a workspace that is not one says so', async () => {
  const scheme = databricksMachineToMachine({ host: '{host}/nowhere' })
  const { status, network } = through(
    scheme,
    { clientId: 'principal', clientSecret: secret },
    { url, config: { host: url } },
  )
  expect(['rejected', 'not_found', 'invalid_reply']).toContain((await refusal(status())).code)
  await network.close()
})

const entra = { tenant: 'contoso', scope, authority: '{url}' }
test('Entra with a secret', async () => {
  const right = through(microsoftEntraSecret(entra), { clientId: 'application', clientSecret: secret }, { url })
  expect(await right.status()).toBe(200)
  await right.network.close()
  const wrong = through(microsoftEntraSecret(entra), { clientId: 'application', clientSecret: 'wrong' }, { url })
  expect(await refusal(wrong.status())).toMatchObject({
    code: 'invalid_credentials',
    field: 'credentials.clientSecret',
  })
  await wrong.network.close()
})
test('Entra with a certificate: taken once, and refused when it is sent again', async () => {
  asked.length = 0
  const credentials = { clientId: 'certified', certificate: applicationCertificate, privateKey: applicationKey }
  const { status, network } = through(microsoftEntraCertificate(entra), credentials, { url })
  expect(await status()).toBe(200)
  await network.close()
  const first = asked[0] ?? { path: '', form: '' }
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const again = await fetch(url + first.path, { method: 'POST', body: first.form, headers })
  expect([again.status, ((await again.json()) as { error: string }).error]).toEqual([401, 'invalid_client'])
  const other = through(microsoftEntraCertificate(entra), { ...credentials, clientId: 'application' }, { url })
  expect(await refusal(other.status())).toMatchObject({ code: 'invalid_credentials', field: 'credentials.certificate' })
  await other.network.close()
})
