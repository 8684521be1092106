import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { expect, onTestFinished } from 'vitest'
import { isIntegrationError, type ErrorCode, type IntegrationError } from '@ecokit/contracts'
import { openNetwork } from '../src/index.ts'
import type { Clock, Exchange, Network, NetworkOptions } from '../src/index.ts'

/** Waits for a condition without a fixed time. */
export const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

const listen = async (server: Server): Promise<{ url: string; sockets: Set<Socket> }> => {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  )
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets }
}

export interface Received {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}
/** A real HTTP server on a free port; the answer is made when the request's body is complete. */
export const serve = async (
  answer: (request: Received, response: ServerResponse, count: number) => void,
): Promise<{ url: string; received: Received[]; sockets: Set<Socket> }> => {
  const received: Received[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('error', () => {})
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      const whole = { method, url, headers, body: Buffer.concat(chunks).toString() }
      received.push(whole)
      answer(whole, response, received.length)
    })
  })
  return { ...(await listen(server)), received }
}
/** Answers with a value as JSON. */
export const json = (response: ServerResponse, value: unknown, status = 200, headers: Record<string, string> = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))

/** A TCP server that sees when a request's headers are complete and may do anything then. */
export const serveRaw = async (
  answer: (socket: Socket, count: number) => void,
): Promise<{ url: string; sockets: Set<Socket>; count: () => number }> => {
  let count = 0
  const server = createTcpServer((socket) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (!text.includes('\r\n\r\n')) return
      text = ''
      answer(socket, ++count)
    })
  })
  return { ...(await listen(server)), count: () => count }
}

/** Time that passes only when somebody sleeps. */
export const fakeClock = (start = Date.UTC(2026, 0, 1)): Clock & { readonly waits: number[] } => {
  let now = start
  const waits: number[] = []
  return {
    waits,
    now: () => now,
    sleep: (ms, signal) => {
      if (signal?.aborted === true) return Promise.reject(new Error('aborted'))
      waits.push(ms)
      now += ms
      return Promise.resolve()
    },
  }
}

/** A network to one server, closed after the test, with a clock that does not wait and every exchange kept. */
export const open = (
  url: string,
  options: Partial<NetworkOptions> = {},
): Network & { readonly clock: ReturnType<typeof fakeClock>; readonly exchanges: Exchange[] } => {
  const clock = fakeClock()
  const exchanges: Exchange[] = []
  const network = openNetwork({
    partner: 'acme',
    hosts: ['{url}'],
    config: { url },
    ...options,
    runtime: { clock, random: () => 0.5, observe: (exchange) => exchanges.push(exchange), ...options.runtime },
  })
  onTestFinished(() => network.close())
  return { ...network, clock, exchanges }
}

/** The error that a promise ends with, which must be of this code. */
export const failure = async <C extends ErrorCode>(work: Promise<unknown>, code: C): Promise<IntegrationError<C>> => {
  const error = await work.then(
    () => expect.unreachable('should have failed'),
    (reason: unknown) => reason,
  )
  if (!isIntegrationError(error)) throw error
  expect({ code: error.code, message: error.message }).toMatchObject({ code })
  return error as IntegrationError<C>
}

/** A stream of these pieces. */
export const streamOf = (...pieces: readonly Uint8Array[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: (controller) => {
      for (const piece of pieces) controller.enqueue(piece)
      controller.close()
    },
  })

export const text = (body: ReadableStream<Uint8Array>): Promise<string> => new Response(body).text()
