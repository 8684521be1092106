import { apiKey, basic, bearer, hmacSigning, none } from '@ecokit/auth'
import { integrationError, secret, type AuthScheme } from '@ecokit/contracts'
import { z } from 'zod'
import type { Config } from './config.ts'

const apiKeyOf = () => {
  const { credentials } = apiKey({ header: 'x-api-key' })
  return {
    kind: 'api_key',
    credentials,
    open: (given, context) => apiKey({ header: (context.config as Config).apiKeyHeader }).open(given),
  } satisfies AuthScheme<typeof credentials>
}

const hmacOf = () => {
  const credentials = z.strictObject({
    /** Where `signing` shows it to the endpoint. */
    keyId: z.string().min(1).optional(),
    key: secret().meta({ secret: true }),
  })
  return {
    kind: 'hmac',
    credentials,
    open: (given, context) => {
      const scheme = hmacSigning((context.config as Config).signing)
      const checked = scheme.credentials.safeParse(given)
      if (checked.success) return scheme.open(checked.data, context)
      const field = `credentials.${checked.error.issues[0]?.path.join('.') ?? 'key'}`
      throw integrationError('invalid_credentials', {
        partner: context.partner,
        what: `${field} does not fit config.signing`,
        next: 'Correct the one or the other',
        details: { field },
      })
    },
  } satisfies AuthScheme<typeof credentials>
}

/** What endpoints ask for; header and signature as the config says. */
export const schemes = { none: none(), bearer: bearer(), basic: basic(), api_key: apiKeyOf(), hmac: hmacOf() }
