import { z } from 'zod'
import { secret, type AuthScheme } from '@ecokit/contracts'
import { openGrant } from './grant.ts'
import { hostsOf } from './oauth-issuer.ts'

export interface DatabricksOptions {
  /** The workspace's address, usually a pattern over the config: `{host}`. */
  readonly host: string
}

/**
 * Databricks OAuth machine to machine, for a service principal: client credentials for the scope `all-apis`, with id and secret in the Basic header, at the endpoint that the workspace itself names.
 * Source: databricks-sdk-go v0.175.0 (Apache-2.0).
 */
export const databricksMachineToMachine = (options: DatabricksOptions) => {
  const issuer = {
    metadata: `${options.host.replace(/\/+$/, '')}/oidc/.well-known/oauth-authorization-server`,
    scopes: ['all-apis'],
  }
  const credentials = z.strictObject({ clientId: z.string().min(1), clientSecret: secret() })
  return {
    kind: 'databricks_m2m',
    credentials,
    hosts: hostsOf(issuer),
    open: (given, context) =>
      openGrant(context, {
        scheme: 'databricks_m2m',
        field: 'credentials.clientSecret',
        options: issuer,
        client: { method: 'client_secret_basic', credentials: given },
        proof: () => Promise.resolve({ grantType: 'client_credentials' }),
      }),
  } satisfies AuthScheme<typeof credentials>
}
