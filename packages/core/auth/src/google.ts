import { z } from 'zod'
import { integrationError, secret, type AuthScheme } from '@ecokit/contracts'
import { openGrant } from './grant.ts'
import { checkedKey, privateKeyField, readRsaKey, signJwt } from './jwt.ts'
import { hostsOf } from './oauth-issuer.ts'
import { fill } from './pattern.ts'

export interface GoogleOptions {
  /** What the token is for; patterns over the config allowed. */
  readonly scopes: readonly string[]
  /** Where tokens come from; a pattern over the config allowed. Default: Google's own. The address in a key file is not followed, as a key must not choose where it is sent. */
  readonly tokenUri?: string
}

/** What is read of a service account's key file. */
const keyFile = z.object({
  type: z.literal('service_account'),
  client_email: z.string().min(1),
  private_key: z.string().min(1),
  private_key_id: z.string().min(1).optional(),
})
interface Parts {
  readonly clientEmail: string
  readonly privateKey: string
  readonly privateKeyId?: string | undefined
}
interface Given {
  readonly key?: string | undefined
  readonly clientEmail?: string | undefined
  readonly privateKey?: string | undefined
  readonly privateKeyId?: string | undefined
}
type Problem = { readonly path: readonly string[]; readonly problem: string }

const fromFile = (text: string): Parts | Problem => {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    // The parser's own words would quote the key.
    return { path: ['key'], problem: 'is no JSON: expected the whole text of the key file' }
  }
  const file = keyFile.safeParse(json)
  if (!file.success) {
    const names = [...new Set(file.error.issues.map(({ path }) => path.join('.')))].filter((name) => name !== '')
    return {
      path: ['key'],
      problem: `is no key of a service account: ${names.join(', ') || 'nothing'} missing or wrong in it`,
    }
  }
  const { client_email: clientEmail, private_key: privateKey, private_key_id: privateKeyId } = file.data
  return { clientEmail, privateKey, privateKeyId }
}
const partsOf = (given: Given): Parts | Problem => {
  const { key, clientEmail, privateKey, privateKeyId } = given
  if (key !== undefined) {
    const other = Object.entries({ clientEmail, privateKey, privateKeyId }).find(([, value]) => value !== undefined)
    if (other !== undefined) return { path: [other[0]], problem: 'given twice: the key file in `key` has it already' }
    return fromFile(key)
  }
  if (clientEmail === undefined && privateKey === undefined)
    return { path: ['key'], problem: 'missing: give the text of the key file, or clientEmail and privateKey' }
  if (clientEmail === undefined) return { path: ['clientEmail'], problem: 'missing beside privateKey' }
  if (privateKey === undefined) return { path: ['privateKey'], problem: 'missing beside clientEmail' }
  return { clientEmail, privateKey, privateKeyId }
}
const checked = (given: Given): Parts | Problem => {
  const parts = partsOf(given)
  if ('path' in parts) return parts
  const read = readRsaKey(parts.privateKey)
  if ('key' in read) return parts
  if (given.key === undefined) return { path: ['privateKey'], problem: read.problem }
  return { path: ['key'], problem: `its private_key ${read.problem}` }
}

/**
 * A Google service account: a JWT (RS256) signed with its key is exchanged for an access token (RFC 7523).
 * Source: "Using OAuth 2.0 for server to server applications", Google Identity: `aud` is the token endpoint, `exp` at most an hour after `iat`.
 */
export const googleServiceAccount = (options: GoogleOptions) => {
  const tokenEndpoint = options.tokenUri ?? 'https://oauth2.googleapis.com/token'
  const issuer = { tokenEndpoint }
  const credentials = z
    .strictObject({
      /** The whole text of the JSON key file; or the parts of it below. */
      key: secret().optional(),
      clientEmail: z.string().min(1).optional(),
      privateKey: privateKeyField().optional(),
      privateKeyId: z.string().min(1).optional(),
      /** A user of the domain to act for, where the account was given domain-wide delegation. */
      subject: z.string().min(1).optional(),
    })
    .superRefine((given, check) => {
      const parts = checked(given)
      if ('path' in parts) check.addIssue({ code: 'custom', path: [...parts.path], message: parts.problem })
    })
  return {
    kind: 'google_service_account',
    credentials,
    hosts: hostsOf(issuer),
    open: (given, context) => {
      const { partner, config } = context
      const parts = checked(given)
      if ('path' in parts) {
        const field = `credentials.${parts.path.join('.')}`
        throw integrationError('invalid_credentials', {
          partner,
          what: `${field} ${parts.problem}`,
          details: { field },
        })
      }
      const { clientEmail, privateKeyId } = parts
      const key = checkedKey(readRsaKey(parts.privateKey), partner)
      const scope = options.scopes.map((each) => fill(each, config, partner)).join(' ')
      const subject = given.subject
      return openGrant(context, {
        scheme: 'google_service_account',
        field: given.key === undefined ? 'credentials.privateKey' : 'credentials.key',
        options: issuer,
        about: [clientEmail, scope, subject ?? ''],
        proof: async (aud) => ({
          grantType: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
          parameters: {
            assertion: await signJwt(
              key,
              { alg: 'RS256', ...(privateKeyId !== undefined && { kid: privateKeyId }) },
              { iss: clientEmail, aud, scope, ...(subject !== undefined && { sub: subject }) },
              { now: context.now(), lifetimeSeconds: 3600 },
            ),
          },
        }),
      })
    },
  } satisfies AuthScheme<typeof credentials>
}
