import { isDeepStrictEqual } from 'node:util'
import type { Authorizer, AuthScheme, Manifest } from '@ecokit/contracts'
import { checkCredentials } from './settings.ts'
import type { Chosen } from './settings.ts'

/**
 * The authorizer of a connection, which follows its credentials: after a refusal that it cannot mend, `renew` is asked for the credentials anew, once for all calls that wait, and where they
 * differ another authorizer takes over.
 */
export const openAuthorizer = (about: {
  readonly manifest: Manifest
  readonly partner: string
  readonly chosen: Chosen
  readonly scheme: AuthScheme
  readonly open: (scheme: AuthScheme, credentials: Chosen['credentials']) => Authorizer
  readonly renew: (() => Promise<unknown>) | undefined
  /** Hides the new secrets; called before they are used. */
  readonly hide: (secrets: readonly string[]) => void
}) => {
  const { manifest, partner, open, renew, hide } = about
  let chosen = about.chosen
  let current = open(about.scheme, chosen.credentials)
  let renewing: Promise<Authorizer | undefined> | undefined
  const ask = async (): Promise<Authorizer | undefined> => {
    const given = await renew?.()
    if (given === undefined) return undefined
    const next = checkCredentials(manifest, partner, given)
    if (next.name === chosen.name && isDeepStrictEqual(next.credentials, chosen.credentials)) return undefined
    if (next.scheme === undefined) return undefined
    hide(next.secrets)
    current = open(next.scheme, next.credentials)
    chosen = next
    return current
  }
  return {
    current: () => current,
    /** The authorizer to try once more with after `refused` was refused; undefined where there is no other. */
    replace: (refused: Authorizer): Promise<Authorizer | undefined> => {
      if (current !== refused) return Promise.resolve(current)
      renewing ??= ask().finally(() => (renewing = undefined))
      return renewing
    },
  }
}
