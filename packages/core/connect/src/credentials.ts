import { isDeepStrictEqual } from 'node:util'
import type { Authorizer, CallOptions, Manifest } from '@ecokit/contracts'
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
  readonly open: (chosen: Chosen) => Authorizer | undefined
  readonly renew: (() => Promise<unknown>) | undefined
  /** Hides the new secrets; called before they are used. */
  readonly hide: (secrets: readonly string[]) => void
}) => {
  const { manifest, partner, open, renew, hide } = about
  let chosen = about.chosen
  let current = open(chosen)
  let renewing: Promise<Authorizer | undefined> | undefined
  const ask = async (): Promise<Authorizer | undefined> => {
    const given = await renew?.()
    if (given === undefined) return undefined
    const next = checkCredentials(manifest, partner, given)
    if (next.name === chosen.name && isDeepStrictEqual(next.credentials, chosen.credentials)) return undefined
    hide(next.secrets)
    const authorizer = open(next)
    if (authorizer !== undefined) {
      chosen = next
      current = authorizer
    }
    return authorizer
  }
  return {
    current: () => current,
    /** The authorizer to try once more with after `refused` was refused; undefined where there is no other. */
    replace: (refused: Authorizer, _options?: CallOptions): Promise<Authorizer | undefined> => {
      if (current !== refused) return Promise.resolve(current)
      renewing ??= ask().finally(() => (renewing = undefined))
      return renewing
    },
  }
}
