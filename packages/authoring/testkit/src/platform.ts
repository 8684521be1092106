import { createServer, request as httpRequest } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'

/** A request as the kit's server saw it. */
export interface Seen {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: IncomingHttpHeaders
}

/** What the server does with a request. */
export type Answer =
  | {
      readonly kind: 'reply'
      readonly status: number
      readonly body?: string
      readonly headers?: Readonly<Record<string, string>>
    }
  /** Takes the request and never answers. */
  | { readonly kind: 'hang' }
  /** Closes the socket without a word. */
  | { readonly kind: 'drop' }
  /** Announces more than it sends, then closes the socket. */
  | { readonly kind: 'truncate'; readonly body: string }
  /** Sends what is no HTTP. */
  | { readonly kind: 'noise' }
  /** Hands it on to the partner that the options name. */
  | { readonly kind: 'pass' }
export type Plan = (seen: Seen, index: number) => Answer

export interface Platform {
  readonly url: string
  /** Every request so far. */
  readonly seen: readonly Seen[]
  /** Requests that wait for an answer. */
  waiting(): number
  /** Sockets that are open. */
  sockets(): number
  stop(): Promise<void>
}

const pass = (upstream: string, incoming: IncomingMessage, response: ServerResponse): void => {
  const target = new URL(upstream)
  const path = `${target.pathname.replace(/\/$/, '')}${incoming.url ?? '/'}`
  const send = target.protocol === 'https:' ? httpsRequest : httpRequest
  const headers = { ...incoming.headers, host: target.host }
  const outgoing = send(target, { method: incoming.method, path, headers, agent: false }, (reply) => {
    response.writeHead(reply.statusCode ?? 502, reply.headers)
    reply.pipe(response)
  })
  outgoing.on('error', () => response.destroy())
  response.on('close', () => outgoing.destroy())
  incoming.pipe(outgoing)
}

/** Starts a real server on a free port that answers each request by the plan. */
export const startPlatform = async (plan: Plan, upstream?: string): Promise<Platform> => {
  const seen: Seen[] = []
  const open = new Set<Socket>()
  const waiting = new Set<ServerResponse>()
  const wait = (response: ServerResponse) => {
    waiting.add(response)
    response.on('close', () => waiting.delete(response))
  }
  const server = createServer((incoming, response) => {
    const url = new URL(incoming.url ?? '/', 'http://kit')
    const one: Seen = {
      method: incoming.method ?? 'GET',
      path: url.pathname,
      query: url.search,
      headers: incoming.headers,
    }
    const index = seen.push(one) - 1
    const answer = plan(one, index)
    response.on('error', () => undefined)
    switch (answer.kind) {
      case 'reply':
        incoming.resume()
        response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers })
        response.end(answer.body)
        break
      case 'hang':
        incoming.resume()
        wait(response)
        break
      case 'drop':
        incoming.socket.destroy()
        break
      case 'truncate':
        incoming.resume()
        response.writeHead(200, {
          'content-type': 'application/json',
          'content-length': String(answer.body.length + 100),
        })
        response.write(answer.body, () => incoming.socket.destroy())
        break
      case 'noise':
        incoming.socket.end('noise that is no reply\r\n\r\n')
        break
      case 'pass':
        if (upstream === undefined) response.writeHead(502).end()
        else {
          wait(response)
          pass(upstream, incoming, response)
        }
    }
  })
  server.keepAliveTimeout = 60_000
  server.on('connection', (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    waiting: () => waiting.size,
    sockets: () => open.size,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** A URL at which nothing listens: a port that was just given back. */
export const nowhere = async (): Promise<string> => {
  const platform = await startPlatform(() => ({ kind: 'drop' }))
  await platform.stop()
  return platform.url
}
