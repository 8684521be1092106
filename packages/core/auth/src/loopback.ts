import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { integrationError, isIntegrationError } from '@ecokit/contracts'

export interface RedirectOptions {
  /** Where the issuer insists on one. Default 0: a free one (RFC 8252, 7.3). */
  readonly port?: number
  /** As the issuer knows the redirect address; we listen on 127.0.0.1 either way. Default `127.0.0.1`. */
  readonly host?: '127.0.0.1' | 'localhost'
  /** Default `/callback`. */
  readonly path?: string
}
export interface Loopback {
  readonly redirectUri: string
  /** Waits for the browser to come back with this state; others are turned away. The page says how `handle` ended, and so does the promise. */
  receive<T>(state: string, handle: (answer: URL) => Promise<T>, signal: AbortSignal): Promise<T>
  close(): Promise<void>
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
const page = (title: string, text: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em}h1{font-size:1.4em}</style></head>
<body><h1>${escaped(title)}</h1><p>${escaped(text)}</p></body></html>
`
const answer = (response: ServerResponse, status: number, title: string, text: string): void => {
  response
    .writeHead(status, {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      // The address of this page holds the code.
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      connection: 'close',
    })
    .end(page(title, text))
}
const same = (given: string | null, expected: string): boolean => {
  const [a, b] = [Buffer.from(given ?? ''), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** Listens on this machine only for the browser that comes back from a login. */
export const openLoopback = async (partner: string, options: RedirectOptions = {}): Promise<Loopback> => {
  const { createServer } = await import('node:http')
  const { port = 0, host = '127.0.0.1', path = '/callback' } = options
  let onCallback: ((url: URL, response: ServerResponse) => void) | undefined
  const open = new Set<ServerResponse>()
  const server = createServer((request: IncomingMessage, response) => {
    open.add(response)
    response.once('close', () => open.delete(response))
    const url = URL.parse(request.url ?? '', origin)
    // Another name for this address in the Host header is another site's page that reaches for it.
    if (request.headers.host !== new URL(origin).host)
      answer(response, 421, 'Not here', 'This address is for a login only.')
    else if (url?.pathname !== path) answer(response, 404, 'Not found', 'This address is for a login only.')
    else if (request.method !== 'GET') answer(response, 405, 'Not allowed', 'This address is for a login only.')
    else if (onCallback === undefined) answer(response, 410, 'Over', 'This login is over.')
    else onCallback(url, response)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        integrationError('unavailable', {
          partner,
          what: `cannot listen for the browser on 127.0.0.1:${port} (${error.code ?? error.message})`,
          next: port === 0 ? 'Try again' : 'End what uses this port, which the issuer insists on',
          details: { cause: error.code ?? 'unknown' },
        }),
      )
    })
    server.listen(port, '127.0.0.1', resolve)
  })
  const origin = `http://${host}:${(server.address() as AddressInfo).port}`
  return {
    redirectUri: origin + path,
    receive: (state, handle, signal) =>
      new Promise((resolve, reject) => {
        const stop = (): void => {
          onCallback = undefined
          reject(signal.reason as Error)
        }
        if (signal.aborted) {
          stop()
          return
        }
        signal.addEventListener('abort', stop, { once: true })
        onCallback = (url, response) => {
          if (!same(url.searchParams.get('state'), state)) {
            answer(response, 400, 'Not this login', 'This answer does not belong to the login that is under way.')
            return
          }
          onCallback = undefined
          handle(url)
            .then((value) => {
              answer(response, 200, 'Logged in', `"${partner}" can be used now. You can close this window.`)
              resolve(value)
            })
            .catch((error: unknown) => {
              const why = isIntegrationError(error) ? error.message : 'an error on our side'
              answer(response, 400, 'The login failed', why)
              reject(error)
            })
            .finally(() => {
              signal.removeEventListener('abort', stop)
            })
        }
      }),
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      // The page that was answered last is on its way yet; whatever else is open, such as a connection on which a browser says nothing, would keep us for ever.
      const answered = [...open].filter(({ writableEnded }) => writableEnded)
      await Promise.all(answered.map((response) => new Promise((resolve) => response.once('close', resolve))))
      server.closeAllConnections()
      await closed
    },
  }
}
