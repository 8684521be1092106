import { createHash, createPublicKey } from 'node:crypto'
import { z } from 'zod'
import { secret, type AuthScheme } from '@ecokit/contracts'
import { checkedKey, privateKeyField, readRsaKey, signJwt } from './jwt.ts'
import { fill } from './pattern.ts'

export interface SnowflakeOptions {
  /** The account identifier, usually a pattern over the config: `{account}`. */
  readonly account: string
}

/** Of at most an hour ("Authenticating to the server", the Snowflake SQL API guide); renewed while a call that is on its way still finds it valid. */
const lifetimeMs = 55 * 60_000
const renewAfterMs = 45 * 60_000

/**
 * The account as a JWT names it: upper case, an account locator without its region (`xy12345.eu-central-1` → `XY12345`), a `.global` one without what its dash leads to.
 * Source: the guide named above, and its sample program in Python.
 */
export const snowflakeAccount = (account: string): string => {
  const end = account.includes('.global') ? account.indexOf('-') : account.indexOf('.')
  return (end > 0 ? account.slice(0, end) : account).toUpperCase()
}

/**
 * Snowflake's key-pair authentication: a JWT (RS256) that names the account, the user and the fingerprint of the public key, signed here and never exchanged.
 * Sources: the guide above; `auth_keypair.js` of snowflake-sdk.
 */
export const snowflakeKeyPair = (options: SnowflakeOptions) => {
  const credentials = z
    .strictObject({
      user: z.string().min(1),
      privateKey: privateKeyField(),
      /** Where the key is encrypted. */
      privateKeyPassphrase: secret().optional(),
    })
    .superRefine(({ privateKey, privateKeyPassphrase }, check) => {
      const read = readRsaKey(privateKey, privateKeyPassphrase)
      if ('key' in read) return
      const path = [read.at === 'passphrase' ? 'privateKeyPassphrase' : read.at]
      check.addIssue({ code: 'custom', path, message: read.problem })
    })
  return {
    kind: 'snowflake_key_pair',
    credentials,
    open: ({ user, privateKey, privateKeyPassphrase }, context) => {
      const { partner, config } = context
      const key = checkedKey(readRsaKey(privateKey, privateKeyPassphrase), partner)
      const der = createPublicKey(key).export({ type: 'spki', format: 'der' })
      const subject = `${snowflakeAccount(fill(options.account, config, partner))}.${user.toUpperCase()}`
      const issuer = `${subject}.SHA256:${createHash('sha256').update(der).digest('base64')}`
      let signed: { readonly at: number; readonly token: Promise<string> } | undefined
      const current = (): Promise<string> => {
        const now = context.now()
        // A clock that was set back makes the token one from the future, which the partner refuses.
        if (signed === undefined || now >= signed.at + renewAfterMs || now < signed.at) {
          const times = { now, lifetimeSeconds: lifetimeMs / 1000 }
          signed = { at: now, token: signJwt(key, { alg: 'RS256' }, { iss: issuer, sub: subject }, times) }
        }
        return signed.token
      }
      return {
        authorize: async ({ headers }) => {
          headers.set('authorization', `Bearer ${await current()}`)
          headers.set('x-snowflake-authorization-token-type', 'KEYPAIR_JWT')
        },
        // A token of this minute would only be replaced by its like.
        refused: () => {
          const stale = signed !== undefined && Math.abs(context.now() - signed.at) > 60_000
          if (stale) signed = undefined
          return Promise.resolve(stale)
        },
      }
    },
  } satisfies AuthScheme<typeof credentials>
}
