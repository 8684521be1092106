import { expect, test } from 'vitest'
import type { Interaction } from '@ecokit/contracts'
import { memoryShared } from '@ecokit/http'
import { browse, type OidcOptions } from '@ecokit/peers'
import { authorizationCode, deviceCode, refreshToken } from '../src/index.ts'
import { authorization, contextOf, failure, issuer } from './oauth-support.ts'

const app = {
  client_id: 'app',
  token_endpoint_auth_method: 'none',
  application_type: 'native',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback'],
}
const scopes = ['openid', 'offline_access', 'api']
const byBrowser = (more: Partial<Parameters<typeof authorizationCode>[0]> = {}) =>
  authorizationCode({ issuer: '{issuer}', scopes, authorizeParameters: { prompt: 'consent' }, ...more, client: 'none' })
/** A login whose person follows the address that is shown. */
const following = (more: Partial<Interaction> = {}) => {
  const pages: { url: string; status: number; text: string }[] = []
  const interaction: Interaction = {
    show: async ({ url }) => {
      pages.push(await browse(url))
    },
    ...more,
  }
  return { pages, interaction }
}
const opened = async (options: Partial<OidcOptions> = {}, scheme = byBrowser()) => {
  const oidc = await issuer({ clients: [app], ...options })
  const tokens = memoryShared()
  const context = () => contextOf({ issuer: oidc.url }, { tokens })
  return { ...oidc, context, tokens, authorizer: scheme.open({ clientId: 'app' }, context()) }
}
const logIn = (
  { login }: { login?: ((given: Interaction) => Promise<unknown>) | undefined },
  interaction: Interaction,
) => {
  if (login === undefined) throw new Error('no login')
  return login(interaction)
}

test('a login by browser with PKCE, renewed with rotating refresh tokens, ended and begun anew', async () => {
  const { authorizer, exchanges, context, url } = await opened()
  const nobody = await failure(authorization(authorizer), 'reauthorization_required')
  expect(nobody.message).toBe('acme: oauth_authorization_code: nobody has logged in yet. Run: ecokit login acme')
  const { pages, interaction } = following()
  expect(await logIn(authorizer, interaction)).toMatchObject({ state: 'ready' })
  expect(pages).toMatchObject([{ status: 200, text: expect.stringContaining('<h1>Logged in</h1>') as string }])
  const first = await authorization(authorizer)
  expect(await authorizer.refused?.({})).toBe(true)
  const second = await authorization(authorizer)
  expect(second).not.toBe(first)
  // Another process goes on with what this one keeps.
  expect(await authorization(byBrowser().open({ clientId: 'app' }, context()))).toBe(second)
  const sent = exchanges.map(({ refreshToken }) => refreshToken)
  expect(exchanges.map(({ grant }) => grant)).toEqual(['authorization_code', 'refresh_token'])

  // The issuer is told of the logout, and forgets the whole login.
  await authorizer.logout?.()
  await failure(authorization(authorizer), 'reauthorization_required')
  const stale = refreshToken({ issuer: '{issuer}' }).open(
    { clientId: 'app', refreshToken: sent[1] ?? '' },
    contextOf({ issuer: url }),
  )
  const refused = await failure(authorization(stale), 'reauthorization_required')
  expect(refused.details).toEqual({ scheme: 'oauth_refresh_token', issuer: 'invalid_grant: grant request is invalid' })
  expect(await authorizer.status?.()).toEqual({ state: 'missing' })
  expect(await logIn(authorizer, following().interaction)).toMatchObject({ state: 'ready' })
})

test('a refresh token that was used elsewhere: the issuer ends the login, and all are told so', async () => {
  const { authorizer, tokens, context } = await opened()
  let key = ''
  const put: typeof tokens.put = (name, value, options) => tokens.put((key = name), value, options)
  await logIn(
    byBrowser().open({ clientId: 'app' }, { ...context(), tokens: { ...tokens, put } }),
    following().interaction,
  )
  // Somebody took the database along.
  const copy = memoryShared()
  await copy.put(key, (await tokens.get(key))?.value ?? '')
  const elsewhere = byBrowser().open({ clientId: 'app' }, { ...context(), tokens: copy })
  await authorization(elsewhere)
  expect(await elsewhere.refused?.({})).toBe(true)
  await authorization(authorizer)
  const error = await failure(authorizer.refused?.({}) ?? Promise.resolve(), 'reauthorization_required')
  expect(error.details.issuer).toBe('invalid_grant: grant request is invalid')
  expect(error.message).toContain('Run: ecokit login acme')
  expect(await authorizer.status?.()).toMatchObject({
    state: 'reauthorization_required',
    reason: expect.stringContaining('invalid_grant') as string,
  })
})

test('a person who refuses, one who never comes, one who gives up', async () => {
  const refusing = await opened({ person: () => 'refuses' })
  const { pages, interaction } = following()
  const refused = await failure(logIn(refusing.authorizer, interaction), 'forbidden')
  expect(refused.message).toContain('access_denied')
  expect(pages).toMatchObject([{ status: 400, text: expect.stringContaining('The login failed') as string }])

  const waiting = await opened({}, byBrowser({ loginTimeoutMs: 50 }))
  let shown = ''
  const late = await failure(logIn(waiting.authorizer, { show: ({ url }) => void (shown = url) }), 'timeout')
  expect(late.message).toContain('nobody logged in within')
  const redirect = new URL(shown).searchParams.get('redirect_uri') ?? ''
  // Nobody listens there any more.
  await expect(fetch(redirect)).rejects.toThrow('fetch failed')

  const stop = new AbortController()
  const patient = await opened()
  await failure(logIn(patient.authorizer, { show: () => stop.abort(), signal: stop.signal }), 'cancelled')
})

test('an answer that does not belong to this login is turned away, and the login goes on', async () => {
  const { authorizer } = await opened()
  const statuses: number[] = []
  const ask = async (address: string, init?: RequestInit) => {
    const reply = await fetch(address, init)
    await reply.body?.cancel()
    statuses.push(reply.status)
  }
  await logIn(authorizer, {
    show: async ({ url }) => {
      const redirect = new URL(url).searchParams.get('redirect_uri') ?? ''
      await ask(`${redirect}?code=stolen&state=guessed`)
      await ask(new URL('/other', redirect).href)
      await ask(redirect.replace('127.0.0.1', 'localhost'))
      await ask(redirect, { method: 'POST' })
      await browse(url)
    },
  })
  expect(statuses).toEqual([400, 404, 421, 405])
  expect(await authorization(authorizer)).toMatch(/^Bearer /)
})

test('an answer of another issuer, and a code that belongs to another verifier', async () => {
  const { authorizer, context } = await opened()
  const mixedUp = await failure(
    logIn(authorizer, {
      show: async ({ url }) => {
        const { searchParams } = new URL(url)
        const back = new URL(searchParams.get('redirect_uri') ?? '')
        back.search = new URLSearchParams({
          code: 'x',
          state: searchParams.get('state') ?? '',
          iss: 'https://other.example',
        }).toString()
        await (await fetch(back)).text()
      },
    }),
    'invalid_reply',
  )
  expect(mixedUp.message).toContain('cannot be trusted')

  // Somebody swaps the challenge on the way to the browser: the code is then for a verifier that we have not.
  const swapped = await failure(
    logIn(byBrowser().open({ clientId: 'app' }, context()), {
      show: async ({ url }) => {
        const other = new URL(url)
        other.searchParams.set('code_challenge', 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM')
        await browse(other.href)
      },
    }),
    'unauthenticated',
  )
  expect(swapped.message).toContain('invalid_grant')
})

const device = {
  clients: [{ ...app, grant_types: [...app.grant_types, 'urn:ietf:params:oauth:grant-type:device_code'] }],
  features: { deviceFlow: { enabled: true } },
}
const byDevice = () => deviceCode({ issuer: '{issuer}', scopes })

test('a login on another device', async () => {
  const oidc = await issuer(device)
  const waits: number[] = []
  let approve = (): Promise<unknown> => Promise.resolve()
  const context = contextOf(
    { issuer: oidc.url },
    {
      sleep: async (ms, signal) => {
        if (ms > 60_000) return new Promise((_, reject) => signal?.addEventListener('abort', reject))
        waits.push(ms)
        // The first time the person is not done yet.
        if (waits.length === 2) await approve()
      },
    },
  )
  const authorizer = byDevice().open({ clientId: 'app' }, context)
  let code = ''
  await logIn(authorizer, {
    show: (step) => {
      code = step.code ?? ''
      approve = () => browse(step.url)
    },
  })
  expect(code).toMatch(/^[A-Z]{4}-[A-Z]{4}$/)
  expect(waits).toEqual([5000, 5000])
  expect(oidc.exchanges.map(({ refused }) => refused)).toEqual(['authorization_pending', undefined])
  expect(await authorization(authorizer)).toMatch(/^Bearer /)
})

test('a device code that expires, a person who refuses, a login that is given up', async () => {
  const { url } = await issuer({ ...device, person: () => 'refuses' })
  let now = Date.now()
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> => {
    if (ms > 60_000) return new Promise((_, reject) => signal?.addEventListener('abort', reject))
    now += ms
    return Promise.resolve()
  }
  const authorizer = byDevice().open({ clientId: 'app' }, contextOf({ issuer: url }, { now: () => now, sleep }))
  const expired = await failure(logIn(authorizer, { show: () => void (now += 3_600_000) }), 'timeout')
  expect(expired.message).toContain('the code expired before anybody used it')
  const refused = await failure(
    // The page asks for another code then, and again.
    logIn(authorizer, {
      show: ({ url: page }) =>
        browse(page).then(
          () => {},
          () => {},
        ),
    }),
    'forbidden',
  )
  expect(refused.message).toContain('access_denied')
  const stop = new AbortController()
  const waiting = byDevice().open({ clientId: 'app' }, contextOf({ issuer: url }))
  await failure(logIn(waiting, { show: () => stop.abort(), signal: stop.signal }), 'cancelled')
})

test('a refresh token that came from elsewhere: its successors are kept', async () => {
  const { authorizer, tokens, url, exchanges } = await opened()
  let stored = ''
  const put: typeof tokens.put = (key, value, options) => tokens.put(key, (stored = value), options)
  await logIn(
    byBrowser().open({ clientId: 'app' }, contextOf({ issuer: url }, { tokens: { ...tokens, put } })),
    following().interaction,
  )
  expect(await authorization(authorizer)).toMatch(/^Bearer /)
  const { refreshToken: given } = (JSON.parse(stored) as { tokens: { refreshToken: string } }).tokens
  const scheme = refreshToken({ issuer: '{issuer}' })
  const own = memoryShared()
  const open = () => scheme.open({ clientId: 'app', refreshToken: given }, contextOf({ issuer: url }, { tokens: own }))
  const first = await authorization(open())
  const again = open()
  expect(await authorization(again)).toBe(first)
  expect(await again.refused({})).toBe(true)
  const renewals = exchanges.filter(({ grant }) => grant === 'refresh_token')
  expect(renewals.map(({ refused }) => refused)).toEqual([undefined, undefined])
  expect(renewals[0]?.refreshToken).toBe(given)
  expect(renewals[1]?.refreshToken).not.toBe(given)
})
