import { createHash } from 'node:crypto'
import type * as OAuth from 'oauth4webapi'
import type { AuthorizationServer, Client, ClientAuth, TokenEndpointResponse } from 'oauth4webapi'
import { integrationError, isIntegrationError, type AuthContext, type IntegrationError } from '@ecokit/contracts'
import {
  clientAuth,
  clientCertificate,
  clientField,
  type ClientCredentials,
  type ClientMethod,
} from './oauth-client.ts'
import { fetchThrough, refusalError, refusalOf, type Refusal } from './oauth-http.ts'
import { fill } from './pattern.ts'
import type { TokenSet } from './tokens.ts'

/** Where tokens come from and what they are asked for. All texts may hold `{field}` of the connector's config, dotted below the top. */
export interface OAuthOptions<M extends ClientMethod = ClientMethod> {
  /** The issuer's identifier; its endpoints are discovered (OpenID Connect Discovery, else RFC 8414). */
  readonly issuer?: string
  /** The address of the issuer's metadata, where it is not the one that follows from `issuer`. */
  readonly metadata?: string
  /** Endpoints that are not discovered, or not taken from there. */
  readonly tokenEndpoint?: string
  readonly authorizationEndpoint?: string
  readonly deviceEndpoint?: string
  readonly introspectionEndpoint?: string
  readonly revocationEndpoint?: string
  /** Further hosts that the issuer's metadata may name; those of the addresses above are allowed anyway. */
  readonly hosts?: readonly string[]
  /** How the client proves itself. */
  readonly client?: M
  /** Who the client's assertion is for (private_key_jwt). Default: the issuer. */
  readonly assertionAudience?: 'issuer' | 'token_endpoint'
  /** The algorithm of assertions with an RSA key. Default RS256. */
  readonly rsa?: 'RS256' | 'PS256'
  readonly scopes?: readonly string[]
  readonly audience?: string
  /** RFC 8707. */
  readonly resource?: string | readonly string[]
  /** Further parameters of each token request. */
  readonly parameters?: Readonly<Record<string, string>>
}

const hourMs = 3_600_000
const endpointNames = {
  token_endpoint: 'tokenEndpoint',
  authorization_endpoint: 'authorizationEndpoint',
  device_authorization_endpoint: 'deviceEndpoint',
  introspection_endpoint: 'introspectionEndpoint',
  revocation_endpoint: 'revocationEndpoint',
} as const

/** The host of an address pattern, in the form of the manifest's hosts. */
const hostOf = (pattern: string): string => /^(?:[a-z][a-z0-9+.-]*:\/\/)?[^/?#]*/i.exec(pattern)?.[0] ?? pattern
/** The hosts of all addresses that the options name. */
export const hostsOf = (options: OAuthOptions): readonly string[] => {
  const { issuer, metadata, hosts = [] } = options
  const named = [issuer, metadata, ...Object.values(endpointNames).map((name) => options[name])]
  return [...new Set([...named.filter((each) => each !== undefined).map(hostOf), ...hosts])]
}

const address = (pattern: string, { config, partner }: AuthContext): URL => {
  const text = fill(pattern, config, partner)
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw integrationError('invalid_config', {
      partner,
      what: `"${pattern}" gives no http(s) address`,
      next: 'Correct the field of the config that stands in it',
      details: { field: `config.${/\{([^{}]+)\}/.exec(pattern)?.[1] ?? ''}` },
    })
  // A base URL is often written with a slash at its end.
  url.pathname = url.pathname.replace(/\/{2,}/g, '/')
  return url
}

/** All that a token request needs. */
export interface Asking {
  readonly oauth: typeof OAuth
  readonly as: AuthorizationServer
  readonly client: Client
  readonly auth: ClientAuth
  /** For oauth4webapi's last argument. */
  options(step?: { readonly signal?: AbortSignal | undefined; readonly sending?: () => Promise<void> }): {
    readonly [key: symbol]: never
    readonly signal?: AbortSignal
  }
}

/** One issuer and one client of it. Does no I/O before the first call. */
export const openIssuer = (
  context: AuthContext,
  scheme: string,
  method: ClientMethod,
  options: OAuthOptions,
  credentials: ClientCredentials,
) => {
  const { partner } = context
  const certificate = clientCertificate(method, credentials)
  const text = (pattern: string): string => fill(pattern, context.config, partner)
  let known: { readonly as: Promise<AuthorizationServer>; readonly until: number } | undefined
  let auth: Promise<ClientAuth> | undefined

  const insecure = (): boolean =>
    [options.issuer, options.metadata, options.tokenEndpoint].some(
      (each) => each !== undefined && address(each, context).protocol === 'http:',
    )
  const fail = (refusal: Refusal): IntegrationError => refusalError(partner, scheme, clientField(method), refusal)
  const transport = (oauth: Asking['oauth'], step: Parameters<Asking['options']>[0] = {}) =>
    ({
      [oauth.customFetch]: fetchThrough(context, certificate, step.sending),
      // Plain HTTP only where the config itself says so, as for an issuer on this machine.
      // eslint-disable-next-line @typescript-eslint/no-deprecated -- deprecated is its word for: take care
      [oauth.allowInsecureRequests]: insecure(),
      ...(step.signal === undefined ? {} : { signal: step.signal }),
    }) as unknown as ReturnType<Asking['options']>

  const discover = async (oauth: Asking['oauth'], signal?: AbortSignal): Promise<Partial<AuthorizationServer>> => {
    const settings = transport(oauth, { signal })
    const expected = options.issuer === undefined ? undefined : address(options.issuer, context)
    if (options.metadata !== undefined) {
      const url = address(options.metadata, context).href
      const headers = { accept: 'application/json' }
      const response = await fetchThrough(context, certificate)(url, {
        method: 'GET',
        headers,
        ...(signal ? { signal } : {}),
      })
      const refusal = refusalOf(response)
      if (refusal !== undefined) throw fail(refusal)
      const found = (await response.json()) as AuthorizationServer
      if (expected !== undefined && new URL(found.issuer).href !== expected.href) throw new Error('another issuer')
      return found
    }
    if (expected === undefined) return {}
    for (const algorithm of ['oidc', 'oauth2'] as const) {
      const response = await oauth.discoveryRequest(expected, { ...settings, algorithm })
      const refusal = refusalOf(response)
      if (refusal === undefined) return oauth.processDiscoveryResponse(expected, response)
      if (algorithm === 'oauth2' || refusal.status !== 404) throw fail(refusal)
    }
    return {}
  }
  const describe = async (oauth: Asking['oauth'], signal?: AbortSignal): Promise<AuthorizationServer> => {
    const found = await discover(oauth, signal).catch((error: unknown) => {
      throw isIntegrationError(error)
        ? error
        : integrationError('invalid_reply', {
            partner,
            what: `${scheme}: the issuer's metadata cannot be used: ${error instanceof Error ? error.message : 'it cannot be read'}`,
            next: "Check the issuer's address",
            details: {},
          })
    })
    const given = Object.entries(endpointNames).flatMap(([name, option]) => {
      const pattern = options[option]
      return pattern === undefined ? [] : [[name, address(pattern, context).href] as const]
    })
    const as = { ...found, ...Object.fromEntries(given) }
    const issuer = as.issuer ?? (as.token_endpoint === undefined ? undefined : new URL(as.token_endpoint).origin)
    if (issuer === undefined) throw new Error('neither an issuer nor a token endpoint is given')
    return { ...as, issuer }
  }
  const asking = async (signal?: AbortSignal): Promise<Asking> => {
    const oauth = await import('oauth4webapi')
    if (known === undefined || known.until <= context.now()) {
      const entry = { as: describe(oauth, signal), until: context.now() + hourMs }
      known = entry
      entry.as.catch(() => {
        if (known === entry) known = undefined
      })
    }
    const as = await known.as
    const audience = options.assertionAudience === 'token_endpoint' ? as.token_endpoint : undefined
    auth ??= clientAuth(partner, method, credentials, {
      ...(audience === undefined ? {} : { audience }),
      ...(options.rsa === undefined ? {} : { rsa: options.rsa }),
    })
    return {
      oauth,
      as,
      client: {
        client_id: credentials.clientId ?? 'none',
        ...(certificate === undefined ? {} : { use_mtls_endpoint_aliases: true }),
        [oauth.clockSkew]: Math.round((context.now() - Date.now()) / 1000),
      },
      auth: await auth,
      options: (step) => transport(oauth, step),
    }
  }

  return {
    asking,
    fail,
    certificate,
    /** An address that a person is sent to, as the issuer names it: a program that opens addresses would open a file, too. */
    shown: (named: string): URL => {
      const url = URL.parse(named)
      if (url?.protocol === 'https:' || (url?.protocol === 'http:' && insecure())) return url
      throw integrationError('invalid_reply', {
        partner,
        what: `${scheme}: the issuer names an address for the login that is not https`,
        next: "Check the issuer's address",
        details: {},
      })
    },
    /** Scope, audience, resource and the rest, as the scheme says them. */
    parameters: (): URLSearchParams => {
      const { scopes = [], audience, resource = [], parameters = {} } = options
      const all = new URLSearchParams()
      if (scopes.length > 0) all.set('scope', scopes.map(text).join(' '))
      if (audience !== undefined) all.set('audience', text(audience))
      for (const each of [resource].flat()) all.append('resource', text(each))
      for (const [name, value] of Object.entries(parameters)) all.set(name, text(value))
      return all
    },
    /** What these tokens are stored under: no secret goes in. */
    key: (more: readonly string[] = []): string => {
      const { issuer, metadata, tokenEndpoint, scopes = [], audience = '', resource = [], parameters = {} } = options
      const place = [issuer, metadata, tokenEndpoint].map((each) =>
        each === undefined ? '' : address(each, context).href,
      )
      const parts = [
        scheme,
        ...place,
        credentials.clientId ?? '',
        scopes.map(text),
        text(audience),
        [resource].flat().map(text),
        Object.entries(parameters).map(([name, value]) => [name, text(value)]),
      ]
      return `${scheme}-${createHash('sha256')
        .update(JSON.stringify([parts, more]))
        .digest('hex')
        .slice(0, 24)}`
    },
    /** Opens the socket that the next request goes out on, so that whether the issuer can be reached is known before something single-use leaves. */
    warm: async (): Promise<void> => {
      const { as } = await asking()
      const place = new URL(as.token_endpoint ?? as.issuer)
      await fetchThrough(context, certificate)(place.href, { method: 'HEAD', headers: {} })
    },
    /** The tokens of a reply, counted from when they were asked for. */
    tokens: async (
      at: number,
      response: Response,
      read: (response: Response) => Promise<TokenEndpointResponse>,
      current?: TokenSet,
    ): Promise<TokenSet> => {
      const refusal = refusalOf(response)
      if (refusal !== undefined) throw fail(refusal)
      const reply = await read(response).catch((error: unknown) => {
        throw integrationError('invalid_reply', {
          partner,
          what: `${scheme}: the issuer's reply cannot be used: ${error instanceof Error ? error.message : 'it cannot be read'}`,
          next: "Check the issuer's address and the scheme's parameters",
          details: {},
        })
      })
      if (!/^[\x21-\x7e]+$/.test(reply.access_token))
        throw integrationError('invalid_reply', {
          partner,
          what: `${scheme}: the issuer gave a token that no header can hold`,
          details: {},
        })
      const refreshToken = reply.refresh_token ?? current?.refreshToken
      return {
        accessToken: reply.access_token,
        tokenType: reply.token_type,
        ...(reply.expires_in === undefined ? {} : { expiresAt: at + reply.expires_in * 1000 }),
        ...(refreshToken === undefined ? {} : { refreshToken }),
        ...(reply.scope === undefined ? {} : { scope: reply.scope }),
        refreshedAt: at,
      }
    },
  }
}
export type Issuer = ReturnType<typeof openIssuer>
