import { integrationError } from '@ecokit/contracts'
import type { CallOptions, OpenHttp, Reply, Request } from '@ecokit/contracts'
import type { Config } from './config.ts'

/** More than any list of refusals needs. */
const replyBytes = 16 * 1024 * 1024

/** The reply's text, read to its end: one that breaks off is none. */
export const textOf = async ({ body }: Reply, partner: string): Promise<string> => {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  // Leaving the loop cancels the body, which frees its socket.
  for await (const chunk of body) {
    bytes += chunk.byteLength
    if (bytes > replyBytes)
      throw integrationError('too_large', {
        partner,
        what: `the reply is larger than ${replyBytes} bytes`,
        details: { limit: replyBytes },
      })
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

/** Refuses the page for people that a proxy or a login puts in an endpoint's place: what was sent there is nowhere. */
export const refusePage = ({ headers }: Reply, partner: string): void => {
  if (/^(?:text\/html|application\/xhtml)/i.test(headers.get('content-type') ?? ''))
    throw integrationError('invalid_reply', {
      partner,
      what: 'a page for people came in place of an answer',
      next: 'Is config.url the address of the endpoint, and are the credentials right?',
      details: {},
    })
}

/** How a request ended: taken, or refused in words that may say more. */
export type Sent =
  | { readonly taken: true; readonly text: string }
  | { readonly taken: false; readonly status: number; readonly text: string; readonly error: unknown }
export type Send = (request: Request, options: CallOptions) => Promise<Sent>

/** Statuses by which an endpoint refuses what is in a request, not the request. */
const refusing = [400, 404, 410, 413, 422]

/** Sends requests one after the other; what fails for another reason than its records is thrown. */
export const sender = (http: OpenHttp, { url, headers, query }: Config, partner: string): Send => {
  let said: { readonly status: number; readonly body: string } | undefined
  const base = http(url, {
    explain: (failure) => {
      said = failure
      return undefined
    },
  })
  return async (request, options) => {
    said = undefined
    const whole = { ...request, headers: { ...headers, ...request.headers }, ...(query !== undefined && { query }) }
    let reply: Reply
    try {
      reply = await base.request(whole, options)
    } catch (error) {
      const last = said as { readonly status: number; readonly body: string } | undefined
      if (last === undefined || !refusing.includes(last.status)) throw error
      return { taken: false, status: last.status, text: last.body, error }
    }
    const text = await textOf(reply, partner)
    refusePage(reply, partner)
    return { taken: true, text }
  }
}
