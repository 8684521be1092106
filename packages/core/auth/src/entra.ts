import { createHash, X509Certificate } from 'node:crypto'
import type { ClientAuth } from 'oauth4webapi'
import { z } from 'zod'
import { integrationError, secret, type AuthContext, type AuthScheme } from '@ecokit/contracts'
import { openGrant, type Grant } from './grant.ts'
import {
  certificateField,
  checkedKey,
  checkValidity,
  pairProblem,
  privateKeyField,
  readRsaKey,
  signJwt,
} from './jwt.ts'
import { hostsOf, type OAuthOptions } from './oauth-issuer.ts'

export interface EntraOptions {
  /** The tenant's id or domain, usually a pattern over the config: `{tenantId}`. */
  readonly tenant: string
  /** What the token is for: `https://management.azure.com/.default`, `https://storage.azure.com/.default`; a pattern over the config allowed. */
  readonly scope: string
  /** Default: the global cloud's, `https://login.microsoftonline.com`. National clouds have their own ("National clouds", the Microsoft identity platform). */
  readonly authority?: string
}

const issuerOf = ({ tenant, scope, authority = 'https://login.microsoftonline.com' }: EntraOptions): OAuthOptions => ({
  tokenEndpoint: `${authority.replace(/\/+$/, '')}/${tenant}/oauth2/v2.0/token`,
  scopes: [scope],
})
const clientId = () => z.string().min(1)
const grantOf = (
  scheme: string,
  field: string,
  options: EntraOptions,
  client: NonNullable<Grant['client']>,
  auth?: (endpoint: string) => Promise<ClientAuth>,
): Grant => ({
  scheme,
  field,
  options: issuerOf(options),
  client,
  proof: async (endpoint) => ({
    grantType: 'client_credentials',
    ...(auth !== undefined && { auth: await auth(endpoint) }),
  }),
})
/** The client's proof is a JWT (RFC 7523, 2.2). */
const assertion =
  (id: string, jwt: string): ClientAuth =>
  (_as, _client, body) => {
    body.set('client_id', id)
    body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    body.set('client_assertion', jwt)
  }

/** Microsoft Entra ID, an application with a client secret (client credentials, `oauth2/v2.0/token`). */
export const microsoftEntraSecret = (options: EntraOptions) => {
  const credentials = z.strictObject({ clientId: clientId(), clientSecret: secret() })
  return {
    kind: 'entra_secret',
    credentials,
    hosts: hostsOf(issuerOf(options)),
    open: (given, context) => {
      const client = { method: 'client_secret_post', credentials: given } as const
      return openGrant(context, grantOf('entra_secret', 'credentials.clientSecret', options, client))
    },
  } satisfies AuthScheme<typeof credentials>
}

/**
 * The same with a certificate: an assertion signed with its key (PS256), with the certificate's thumbprint as `x5t#S256`.
 * Source: "Microsoft identity platform application authentication certificate credentials": `aud` is the token endpoint, `exp` 5 to 10 minutes away at most.
 */
export const microsoftEntraCertificate = (options: EntraOptions) => {
  const credentials = z
    .strictObject({
      clientId: clientId(),
      certificate: certificateField(),
      privateKey: privateKeyField(),
      /** Where the key is encrypted. */
      privateKeyPassphrase: secret().optional(),
    })
    .superRefine(({ certificate, privateKey, privateKeyPassphrase }, check) => {
      const wrong = pairProblem(certificate, readRsaKey(privateKey, privateKeyPassphrase))
      if (wrong === undefined) return
      const path = [wrong.at === 'passphrase' ? 'privateKeyPassphrase' : wrong.at]
      check.addIssue({ code: 'custom', path, message: wrong.problem })
    })
  return {
    kind: 'entra_certificate',
    credentials,
    hosts: hostsOf(issuerOf(options)),
    open: (given, context) => {
      checkValidity(given.certificate, context.now(), context.partner)
      const key = checkedKey(readRsaKey(given.privateKey, given.privateKeyPassphrase), context.partner)
      const { raw } = new X509Certificate(given.certificate.replaceAll('\\n', '\n'))
      const header = { alg: 'PS256', 'x5t#S256': createHash('sha256').update(raw).digest('base64url') } as const
      const client = { method: 'none', credentials: { clientId: given.clientId } } as const
      const prove = async (aud: string): Promise<ClientAuth> => {
        const times = { now: context.now(), lifetimeSeconds: 300 }
        const claims = { iss: given.clientId, sub: given.clientId, aud }
        return assertion(given.clientId, await signJwt(key, header, claims, times))
      }
      return openGrant(context, grantOf('entra_certificate', 'credentials.certificate', options, client, prove))
    },
  } satisfies AuthScheme<typeof credentials>
}

const readToken = async (file: string, { partner }: AuthContext): Promise<string> => {
  const { readFile } = await import('node:fs/promises')
  const refuse = (why: string) =>
    integrationError('invalid_credentials', {
      partner,
      what: `credentials.tokenFile ${why}`,
      next: 'Is the identity token of the workload mounted there?',
      details: { field: 'credentials.tokenFile' },
    })
  let text: string
  try {
    text = (await readFile(file, 'utf8')).trim()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown'
    throw refuse(`cannot be read (${code})`)
  }
  if (!/^[\w-]+\.[\w-]+\.[\w-]*$/.test(text)) throw refuse('holds no JWT')
  return text
}

/**
 * The same with a token of another identity provider that the application trusts, such as a Kubernetes service account's. The file is read for each exchange: whoever mounts it renews it.
 * Source: "Access token request with a federated credential", the Microsoft identity platform.
 */
export const microsoftEntraFederated = (options: EntraOptions) => {
  const credentials = z.strictObject({
    clientId: clientId(),
    /** The path of the file that holds the token. */
    tokenFile: z.string().min(1),
  })
  return {
    kind: 'entra_federated',
    credentials,
    hosts: hostsOf(issuerOf(options)),
    open: (given, context) => {
      const client = { method: 'none', credentials: { clientId: given.clientId } } as const
      const prove = async (): Promise<ClientAuth> =>
        assertion(given.clientId, await readToken(given.tokenFile, context))
      return openGrant(context, grantOf('entra_federated', 'credentials.tokenFile', options, client, prove))
    },
  } satisfies AuthScheme<typeof credentials>
}
