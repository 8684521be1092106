import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import {
  integrationError,
  type AuthContext,
  type Http,
  type HttpOptions,
  type Interaction,
  type Request,
} from '@ecokit/contracts'
import { memoryShared } from '@ecokit/http'
import { authorizationCode, clientCredentials, deviceCode } from '../src/index.ts'
import { openLoopback } from '../src/loopback.ts'
import { authorization, contextOf, failure } from './oauth-support.ts'

type Answer = Readonly<Record<string, unknown>> | Error | { readonly status: number; readonly refused: unknown }
/** An issuer as one function of the request; what it throws is an error of the network. */
const scripted = (
  answer: (path: string, form: URLSearchParams) => Answer,
  more: Partial<AuthContext> = {},
): AuthContext => ({
  partner: 'acme',
  config: {},
  tokens: memoryShared(),
  now: () => Date.now(),
  // A login has as long as it takes.
  sleep: (ms) => (ms >= 30_000 ? new Promise(() => {}) : Promise.resolve()),
  random: () => 0.5,
  http: (_base, { explain }: HttpOptions = {}) => {
    const request: Http['request'] = ({ path, body }: Request) => {
      const said = answer(path, new URLSearchParams(Buffer.from((body as Uint8Array | undefined) ?? []).toString()))
      if (said instanceof Error) return Promise.reject(said)
      const headers = new Headers({ 'content-type': 'application/json' })
      if ('refused' in said) {
        explain?.({ status: said.status as number, headers, body: JSON.stringify(said.refused) })
        return Promise.reject(integrationError('rejected', { what: 'refused', details: {} }))
      }
      return Promise.resolve({ status: 200, headers, body: new Blob([JSON.stringify(said)]).stream() })
    }
    return { request } as unknown as Http
  },
  ...more,
})
const metadata = {
  issuer: 'https://issuer.example',
  authorization_endpoint: 'https://issuer.example/authorize',
  device_authorization_endpoint: 'https://issuer.example/device',
  token_endpoint: 'https://issuer.example/token',
}
const device = {
  device_code: 'd',
  user_code: 'ABCD',
  verification_uri: 'https://issuer.example/activate',
  expires_in: 600,
  interval: 1,
}

test('a connection on which a browser says nothing holds no login up', async () => {
  const loopback = await openLoopback('acme')
  const { port } = new URL(loopback.redirectUri)
  // What browsers open ahead of need.
  const silent = connect(Number(port), '127.0.0.1')
  onTestFinished(() => {
    silent.destroy()
  })
  await new Promise((resolve) => silent.once('connect', resolve))
  const page = fetch(`${loopback.redirectUri}?state=s&code=c`)
  await loopback.receive('s', () => Promise.resolve(), new AbortController().signal)
  await loopback.close()
  expect(await (await page).text()).toContain('<h1>Logged in</h1>')
})

test('a login asks for each resource', async () => {
  const resource = ['https://a.example', 'https://b.example']
  const scheme = authorizationCode({ issuer: 'https://issuer.example', resource })
  let shown = ''
  const stop = new Error('seen')
  const show: Interaction['show'] = ({ url }) => {
    shown = url
    throw stop
  }
  const logging = scheme
    .open(
      { clientId: 'app' },
      scripted(() => metadata),
    )
    .login?.({ show })
  await expect(logging).rejects.toBe(stop)
  expect(new URL(shown).searchParams.getAll('resource')).toEqual(resource)
})

test.each(['file:///etc/passwd', 'javascript:alert(1)', 'http://issuer.example/authorize'])(
  'a person is never sent to %s, whatever an issuer names',
  async (address) => {
    const show = () => expect.unreachable(address)
    const named = scripted(() => ({ ...metadata, authorization_endpoint: address }))
    const byBrowser = authorizationCode({ issuer: 'https://issuer.example' }).open({ clientId: 'app' }, named)
    await failure(byBrowser.login?.({ show }) ?? Promise.resolve(), 'invalid_reply')
    const told = scripted((path) => (path === 'device' ? { ...device, verification_uri: address } : metadata))
    const byDevice = deviceCode({ issuer: 'https://issuer.example' }).open({ clientId: 'app' }, told)
    await failure(byDevice.login?.({ show }) ?? Promise.resolve(), 'invalid_reply')
  },
)

test('a poll of the device flow that got no answer is repeated, less often', async () => {
  let polls = 0
  const waits: number[] = []
  const context = scripted(
    (path) => {
      if (path === 'device') return device
      if (path !== 'token') return metadata
      if (++polls > 1) return { access_token: 'a', token_type: 'bearer' }
      return integrationError('timeout', { partner: 'acme', what: 'no answer', details: { timeoutMs: 1 } })
    },
    {
      sleep: (ms) => {
        if (ms >= 30_000) return new Promise(() => {})
        waits.push(ms)
        return Promise.resolve()
      },
    },
  )
  const authorizer = deviceCode({ issuer: 'https://issuer.example' }).open({ clientId: 'app' }, context)
  expect(await authorizer.login?.({ show: () => {} })).toMatchObject({ state: 'ready' })
  expect(waits).toEqual([1000, 2000])
})

test('stored tokens that cannot be read are forgotten by a logout, as their error says', async () => {
  const context = scripted(() => metadata)
  let key = ''
  const put: AuthContext['tokens']['put'] = (name, value, options) => context.tokens.put((key = name), value, options)
  const scheme = deviceCode({ issuer: 'https://issuer.example' })
  const told = scripted((path) => (path === 'device' ? device : path === 'token' ? token : metadata))
  const token = { access_token: 'a', token_type: 'bearer' }
  await scheme.open({ clientId: 'app' }, { ...told, tokens: { ...context.tokens, put } }).login?.({ show: () => {} })
  await context.tokens.put(key, '{"state":')
  const authorizer = scheme.open({ clientId: 'app' }, context)
  expect((await failure(authorization(authorizer), 'internal')).message).toContain('Run: ecokit auth logout acme')
  await authorizer.logout?.()
  expect(await authorizer.status?.()).toEqual({ state: 'missing' })
})

test('tokens of one account are not those of another, where the account is a parameter', async () => {
  const tokens = memoryShared()
  const scheme = clientCredentials({
    tokenEndpoint: 'https://issuer.example/token',
    parameters: { account_id: '{account}' },
  })
  const of = (account: string) =>
    scheme.open(
      { clientId: 'app', clientSecret: 'secret' },
      scripted((_, form) => ({ access_token: form.get('account_id'), token_type: 'bearer' }), {
        tokens,
        config: { account },
      }),
    )
  expect(await authorization(of('one'))).toBe('Bearer one')
  expect(await authorization(of('two'))).toBe('Bearer two')
})

test.each(['client_secret_basic', 'client_secret_post'] as const)(
  'an issuer that says a secret of several words again, in whatever form, gets it into no message: %s',
  async (client) => {
    const clientSecret = 'correct horse (battery)!'
    const form = new URLSearchParams({ '': clientSecret }).toString().slice(1)
    const refused = { error: 'invalid_client', error_description: `not ${clientSecret}, client_secret=${form}` }
    const scheme = clientCredentials({ tokenEndpoint: 'https://issuer.example/token', client })
    const authorizer = scheme.open(
      { clientId: 'app', clientSecret },
      scripted(() => ({ status: 401, refused })),
    )
    const { message } = await failure(authorization(authorizer), 'invalid_credentials')
    expect(message).toContain('not ***, client_secret=***')
  },
)

test('what an issuer says in a refused login is one line of visible text', async () => {
  const scheme = authorizationCode({ issuer: 'https://issuer.example' })
  const authorizer = scheme.open(
    { clientId: 'app' },
    scripted(() => metadata),
  )
  const show: Interaction['show'] = async ({ url }) => {
    const { searchParams } = new URL(url)
    const back = new URL(searchParams.get('redirect_uri') ?? '')
    back.searchParams.set('state', searchParams.get('state') ?? '')
    back.searchParams.set('error', 'access_denied')
    back.searchParams.set('error_description', '\u001b[2J\u001b[31mrun this\r\nnow')
    await fetch(back)
  }
  const { message } = await failure(authorizer.login?.({ show }) ?? Promise.resolve(), 'forbidden')
  // eslint-disable-next-line no-control-regex -- these are what must not be there
  expect(message).not.toMatch(/[\u0000-\u001f\u007f]/)
})

test('an issuer whose answer comes drop by drop and never ends, ends in an error', async () => {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const drip = setInterval(() => response.write(' '), 1)
    response.once('close', () => {
      clearInterval(drip)
    })
  }).listen(0, '127.0.0.1')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const scheme = clientCredentials({ tokenEndpoint: '{issuer}/token' })
  let now = Date.now()
  const context = contextOf({ issuer: url }, { now: () => (now += 1_000) })
  const authorizer = scheme.open({ clientId: 'app', clientSecret: 'secret' }, context)
  await failure(authorization(authorizer), 'timeout')
})
