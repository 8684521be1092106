import type { AuthContext, AuthScheme, Http, HttpOptions } from '@ecokit/contracts'
import { isIntegrationError } from '@ecokit/contracts'
import { memoryShared, openNetwork, type Network } from '@ecokit/http'
import type { z } from 'zod'

export interface Through {
  /** A base URL; the only host beside the scheme's own. */
  readonly url: string
  readonly config?: Readonly<Record<string, unknown>>
  readonly tokens?: AuthContext['tokens']
  readonly now?: () => number
  /** An authority in PEM to trust. */
  readonly ca?: string
  readonly explain?: HttpOptions['explain']
}
/** The way out of a connector whose only auth is this scheme, with the credentials as a user gives them. */
export const through = <C extends z.ZodObject>(
  scheme: AuthScheme<C>,
  credentials: z.input<C>,
  { url, config = {}, tokens = memoryShared(), now = Date.now, ca, explain }: Through,
): {
  readonly http: Http
  readonly network: Network
  readonly status: (request?: Partial<Parameters<Http['request']>[0]>) => Promise<number>
} => {
  const all = { ...config, url }
  const checked = scheme.credentials.parse(credentials)
  const network = openNetwork({
    partner: 'acme',
    hosts: ['{url}'],
    tokenHosts: scheme.hosts ?? [],
    config: all,
    runtime: ca === undefined ? {} : { tls: { ca } },
    authorizer: (http) =>
      scheme.open(checked, {
        partner: 'acme',
        config: all,
        http,
        tokens,
        now,
        sleep: () => Promise.resolve(),
        random: Math.random,
      }),
  })
  const http = network.http(url, explain === undefined ? {} : { explain })
  return {
    http,
    network,
    status: async (request = {}) => {
      const reply = await http.request({ method: 'GET', path: 'api', ...request })
      await reply.body.cancel()
      return reply.status
    },
  }
}

/** What a call was refused with: code and field, and the words of it; fails where it was not refused. */
export const refusal = async (call: Promise<unknown>): Promise<{ code: string; field?: string; text: string }> => {
  try {
    await call
  } catch (error) {
    if (!isIntegrationError(error)) throw error
    const { field } = error.details as { field?: string }
    const text = [
      error.message,
      JSON.stringify(error),
      error.cause instanceof Error ? error.cause.message : '',
      error.stack ?? '',
    ].join('\n')
    return { code: error.code, text, ...(field !== undefined && { field }) }
  }
  throw new Error('it was not refused')
}
