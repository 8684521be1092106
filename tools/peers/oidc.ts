import { generateKeyPairSync } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'

/** The parts of oidc-provider that we touch; its types come in a package of their own, which only the tests of auth have. */
export interface OidcProvider {
  readonly Grant: {
    new (about: { accountId: string; clientId: string }): OidcGrant
    find(id: string): Promise<OidcGrant | undefined>
  }
  readonly RefreshToken: { readonly prototype: { consume: (this: unknown) => Promise<void> } }
  callback(): RequestListener
  use(middleware: (context: OidcContext, next: () => Promise<void>) => Promise<void>): void
  on(event: string, listener: (context: OidcContext, error?: Error & { error_description?: string }) => void): void
  interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<OidcInteraction>
  interactionFinished(
    request: IncomingMessage,
    response: ServerResponse,
    result: object,
    options: { mergeWithLastSubmission: boolean },
  ): Promise<void>
  registerGrantType(name: string, handler: (context: OidcContext) => Promise<void>, parameters: readonly string[]): void
}
interface OidcGrant {
  addOIDCScope(scope: string): void
  save(): Promise<string>
}
interface OidcInteraction {
  readonly prompt: { readonly name: string; readonly details: { readonly missingOIDCScope?: readonly string[] } }
  readonly params: { readonly client_id: string }
  readonly session?: { readonly accountId: string }
  readonly grantId?: string
}
/** Of a Koa context. */
export interface OidcContext {
  readonly path: string
  readonly method: string
  readonly req: IncomingMessage
  readonly oidc: {
    readonly params?: Readonly<Record<string, string | undefined>>
    readonly client?: { readonly clientId: string }
  }
  status: number
  body: unknown
}

/** One token request that the issuer decided on. */
export interface OidcExchange {
  readonly grant: string
  readonly at: number
  /** The issuer's error; absent where it gave a token. */
  readonly refused?: string
  /** The refresh token that was sent. */
  readonly refreshToken?: string
}
export interface OidcOptions {
  readonly clients: readonly Readonly<Record<string, unknown>>[]
  /** Default 3. */
  readonly accessTokenSeconds?: number
  /** How long (ms) a used refresh token is taken again. Default 0: never, and its whole family ends with it. */
  readonly reuseWindowMs?: number
  /** What the person at the browser does. Default `allows`. */
  readonly person?: () => 'allows' | 'refuses'
  /** Over TLS, with client certificates of this authority. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string }
  /** `touched`: a HEAD of the token endpoint came; `arrived`: a token request came; `answered`: the issuer has decided, and its answer leaves when this is over. */
  readonly onToken?: (moment: 'touched' | 'arrived' | 'answered', request: IncomingMessage) => void | Promise<void>
  /** More configuration, by oidc-provider's own names. */
  readonly features?: Readonly<Record<string, unknown>>
  readonly configure?: (provider: OidcProvider) => void
}
/** A real OpenID provider in this process. */
export interface Oidc extends AsyncDisposable {
  /** The issuer's identifier. */
  readonly url: string
  readonly exchanges: OidcExchange[]
  /** Ends it and its sockets. */
  stop(): Promise<void>
}

const secured = ({ socket }: IncomingMessage): TLSSocket | undefined =>
  socket instanceof TLSSocket ? socket : undefined

const person = async (
  provider: OidcProvider,
  says: 'allows' | 'refuses',
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response)
  const finish = (result: object): Promise<void> =>
    provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true })
  if (says === 'refuses') return finish({ error: 'access_denied', error_description: 'the person said no' })
  if (prompt.name === 'login') return finish({ login: { accountId: 'person' } })
  const about = { accountId: session?.accountId ?? 'person', clientId: params.client_id }
  const grant = (grantId === undefined ? undefined : await provider.Grant.find(grantId)) ?? new provider.Grant(about)
  grant.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(' '))
  return finish({ consent: { grantId: await grant.save() } })
}

/** Starts oidc-provider with rotating refresh tokens on a free port of this machine; a person who is asked logs in as "person" and says yes. */
export const startOidc = async (options: OidcOptions): Promise<Oidc> => {
  const { tls, accessTokenSeconds = 3, reuseWindowMs = 0, onToken } = options
  // Named indirectly: the types are another package's, which this one has not.
  const name = ['oidc', 'provider'].join('-')
  const { default: Provider } = (await import(name)) as {
    default: new (issuer: string, configuration: object) => OidcProvider
  }
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const sign = { ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'one' }
  let handle: RequestListener = (_, response) => {
    response.writeHead(503).end()
  }
  const entry: RequestListener = (request, response) => {
    handle(request, response)
  }
  const server =
    tls === undefined
      ? createServer(entry)
      : createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: false }, entry)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`
  const exchanges: OidcExchange[] = []
  const provider = new Provider(url, {
    clients: options.clients,
    jwks: { keys: [sign] },
    cookies: { keys: ['only for tests'] },
    scopes: ['openid', 'offline_access', 'api'],
    clientDefaults: {
      id_token_signed_response_alg: 'ES256',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
    },
    responseTypes: ['code'],
    clientAuthMethods: [
      ...['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
      ...(tls === undefined ? [] : ['tls_client_auth', 'self_signed_tls_client_auth']),
    ],
    pkce: { required: () => true },
    // Login and consent are answered by the person above, without a page.
    interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    findAccount: (_: unknown, accountId: string) => ({ accountId, claims: () => ({ sub: accountId }) }),
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    ttl: {
      AccessToken: accessTokenSeconds,
      ClientCredentials: accessTokenSeconds,
      RefreshToken: 86_400,
      Grant: 86_400,
      IdToken: 3600,
      Session: 3600,
      Interaction: 600,
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      ...(tls === undefined
        ? {}
        : {
            mTLS: {
              enabled: true,
              tlsClientAuth: true,
              selfSignedTlsClientAuth: true,
              getCertificate: ({ req }: OidcContext) => secured(req)?.getPeerX509Certificate()?.toString(),
              certificateAuthorized: ({ req }: OidcContext) => secured(req)?.authorized === true,
              certificateSubjectMatches: ({ req }: OidcContext, property: string, expected: string) =>
                property === 'tls_client_auth_subject_dn' &&
                secured(req)?.getPeerX509Certificate()?.subject === expected,
            },
          }),
      ...options.features,
    },
  })
  if (reuseWindowMs > 0) {
    const { prototype } = provider.RefreshToken
    const { consume } = prototype
    // A used token becomes a used one only when the window is over.
    prototype.consume = function later(this: unknown) {
      setTimeout(() => {
        consume.call(this).catch(() => {})
      }, reuseWindowMs).unref()
      return Promise.resolve()
    }
  }
  const decided = ({ oidc }: OidcContext, error?: Error): void => {
    const { grant_type: grant = '', refresh_token: refreshToken } = oidc.params ?? {}
    exchanges.push({
      grant,
      at: Date.now(),
      ...(error === undefined ? {} : { refused: error.message }),
      ...(refreshToken === undefined ? {} : { refreshToken }),
    })
  }
  provider.on('grant.success', (context) => {
    decided(context)
  })
  provider.on('grant.error', (context, error) => {
    decided(context, error)
  })
  provider.use(async (context, next) => {
    if (context.path !== '/token') return next()
    if (context.method !== 'POST') {
      await onToken?.('touched', context.req)
      return next()
    }
    await onToken?.('arrived', context.req)
    await next()
    await onToken?.('answered', context.req)
  })
  options.configure?.(provider)
  const callback = provider.callback()
  handle = (request, response) => {
    if (request.url?.startsWith('/interaction/') !== true) {
      callback(request, response)
      return
    }
    person(provider, options.person?.() ?? 'allows', request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  }
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { url, exchanges, stop, [Symbol.asyncDispose]: stop }
}

/** A person's browser: follows redirects with its cookies, sends the forms that it is shown, and gives the last page. */
export const browse = async (
  address: string,
): Promise<{ readonly url: string; readonly status: number; readonly text: string }> => {
  const cookies = new Map<string, string>()
  let url = new URL(address)
  let form: URLSearchParams | undefined
  for (let step = 0; step < 20; step++) {
    const reply = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form === undefined ? {} : { method: 'POST', body: form }),
    })
    for (const cookie of reply.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      cookies.set(name, value)
    }
    const text = await reply.text()
    const next = reply.headers.get('location')
    const action = /<form[^>]*\saction="([^"]+)"/.exec(text)?.[1]
    form = undefined
    if (next !== null) url = new URL(next, url)
    else if (action !== undefined && reply.status < 400) {
      form = new URLSearchParams()
      for (const [tag] of text.matchAll(/<input[^>]*>/g)) {
        const name = /\sname="([^"]*)"/.exec(tag)?.[1]
        if (name !== undefined) form.set(name, /\svalue="([^"]*)"/.exec(tag)?.[1] ?? '')
      }
      url = new URL(action, url)
    } else return { url: url.href, status: reply.status, text }
  }
  throw new Error(`more than 20 steps, the last one to ${url.href}`)
}
