import { inspect } from 'node:util'
import { isIntegrationError } from '@ecokit/contracts'
import { canariesOf, shows } from '../canary.ts'
import type { Canary } from '../canary.ts'
import type { Answer, Seen } from '../platform.ts'
import type { Rule, RuleContext } from '../types.ts'

/** Says back everything that it was sent, as an error would. */
const echo =
  (status: number) =>
  (seen: Seen): Answer => {
    const heard = `${seen.method} ${seen.path}${seen.query} ${JSON.stringify(seen.headers)}`
    return { kind: 'reply', status, body: JSON.stringify({ error: heard, message: heard, error_code: heard }) }
  }

/** Makes every probe with every canary against a server that echoes; `look` sees what came of it. */
const withCanaries = async (
  context: RuleContext,
  look: (found: { readonly canary: Canary; readonly what: string; readonly value: unknown }) => void,
  server: (seen: Seen) => void = () => undefined,
): Promise<void> => {
  const { manifest, options, platform, connect, probes, within, skip } = context
  const canaries = canariesOf(manifest, options.credentials)
  if (canaries.length === 0) return skip('no auth scheme has a secret')
  for (const canary of canaries)
    for (const status of [400, 401, 500]) {
      const echoing = await platform((seen) => {
        server(seen)
        return echo(status)(seen)
      })
      try {
        const observed = (value: unknown) => look({ canary, what: 'what an observer is told', value })
        const runtime = { observe: observed, observer: observed }
        const connection = connect({ config: echoing.config, credentials: canary.credentials, runtime })
        look({ canary, what: 'the connection itself', value: inspect(connection, { depth: 6 }) })
        for (const probe of probes()) {
          const outcome = await within(probe.name, probe.run(connection))
          if (outcome.ended === 'badly')
            look({
              canary,
              what: `the ${probe.kind === 'check' ? 'health' : 'error'} of ${probe.name}`,
              value: outcome.error,
            })
        }
        const raw = await connection
          .http()
          .request({ method: 'GET', path: 'canary' })
          .catch((error: unknown) => error)
        look({ canary, what: 'the error of a request by hand', value: raw })
      } catch (error) {
        // A scheme may refuse the form of our word (a private key); the refusal must not show it either.
        if (!isIntegrationError(error)) throw error
        look({ canary, what: 'the refusal of the credentials', value: error })
      }
    }
}

export const secretRules: readonly Rule[] = [
  {
    id: 'secrets.errors',
    title: 'No error, health, event or connection shows a secret, even when the partner says it back',
    applies: (manifest) => manifest.auth !== undefined && manifest.hosts.length > 0,
    run: (context) =>
      withCanaries(context, ({ canary, what, value }) => {
        if (shows(value, canary.words)) context.fail(`${what} shows a secret of the scheme ${canary.scheme}`)
      }),
  },
  {
    id: 'secrets.urls',
    title: 'No secret is sent in a path, nor in a query unless the scheme is an API key',
    applies: (manifest) => manifest.auth !== undefined && manifest.hosts.length > 0,
    run: async (context) => {
      const seen: Seen[] = []
      await withCanaries(
        context,
        () => undefined,
        (one) => seen.push(one),
      )
      for (const one of seen) if (/canary[0-9a-f]{16}/.test(one.path)) context.fail('a secret stands in a path')
      const kinds = Object.values(context.manifest.auth ?? {}).map(({ kind }) => kind)
      if (!kinds.includes('api_key') && seen.some(({ query }) => /canary[0-9a-f]{16}/.test(query)))
        context.fail('a secret stands in a query')
    },
  },
]
