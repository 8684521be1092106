import { integrationError } from '@ecokit/contracts'

/** Sees whether the pages go round in a circle of any length: one key is kept to compare with, a later one each time the count has doubled. */
export const circleFinder = (): ((key: string) => boolean) => {
  let previous: string | undefined
  let mark: string | undefined
  let count = 0
  let renewAt = 1
  return (key) => {
    const found = key === previous || key === mark
    previous = key
    if (++count === renewAt) {
      mark = key
      renewAt *= 2
    }
    return found
  }
}

/**
 * For connectors that ask for page after page themselves: hands on the token of each next page of one listing, and throws `invalid_reply` when the listing goes round in a circle, because it would never end.
 * Keeps two tokens, however long the listing is. `what` names the listing in the message.
 */
export const onward = (partner: string, what: string): (<T extends string | undefined>(token: T) => T) => {
  const goesRound = circleFinder()
  return (token) => {
    if (token !== undefined && goesRound(token))
      throw integrationError('invalid_reply', {
        partner,
        what: `${what}: a page asked for itself again`,
        next: 'The read would never end: see whether something between here and the server answers in its place',
        details: {},
      })
    return token
  }
}

/** Every page of a listing, one after the other, each asked for with the token of the one before; throws `invalid_reply` when they go round in a circle. */
export async function* walkPages<P extends { readonly next: string | undefined }>(
  partner: string,
  what: string,
  ask: (token: string | undefined) => Promise<P>,
): AsyncGenerator<P> {
  const onto = onward(partner, what)
  let token: string | undefined
  do {
    const page = await ask(token)
    yield page
    token = onto(page.next)
  } while (token !== undefined)
}
