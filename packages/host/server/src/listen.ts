import { createAdaptorServer } from '@hono/node-server'
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { integrationError } from '@ecokit/contracts'

/** Milliseconds that open requests get to end once the server closes. */
const graceMs = 2_000

/** A listening server; `close` ends idle connections at once and busy ones after a short grace. */
export interface Listening {
  readonly port: number
  readonly url: string
  close(): Promise<void>
}

const explain = (error: NodeJS.ErrnoException, host: string, port: number): unknown => {
  if (error.code === 'EADDRINUSE')
    return integrationError('conflict', {
      what: `port ${port} of ${host} is in use by another program`,
      next: 'Stop that program, or choose another port (0 takes any free one)',
      details: {},
    })
  if (error.code === 'EACCES' || error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND')
    return integrationError('invalid_config', {
      what: `server: cannot listen on ${host}:${port} (${error.code})`,
      next: 'Name an address of this machine and a port above 1023',
      details: { field: 'server' },
    })
  return error
}

/** Listens with the app; a port that is taken throws `conflict`, an address that is not ours `invalid_config`. */
export const listen = async (app: Pick<OpenAPIHono, 'fetch'>, host: string, port: number): Promise<Listening> => {
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(explain(error, host, port)))
    server.listen(port, host, resolve)
  })
  const address = server.address() as AddressInfo
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return {
    port: address.port,
    url: `http://${name.includes(':') ? `[${name}]` : name}:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        const force = setTimeout(() => server.closeAllConnections(), graceMs)
        server.close(() => {
          clearTimeout(force)
          resolve()
        })
        server.closeIdleConnections()
      }),
  }
}
