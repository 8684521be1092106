import { randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'

/** A partner as the server's API gives it; only what the extension reads. */
export interface FixturePartner {
  readonly name: string
  readonly connector: string
  readonly title: string
  readonly tier: string
  readonly owner: string | null
  readonly health: FixtureHealth | null
}
export interface FixtureHealth {
  readonly status: 'healthy' | 'degraded' | 'unhealthy' | 'unknown'
  readonly since: string
  readonly checkedAt: string
  readonly code?: string
  readonly message?: string
  readonly latencyMs?: number
  readonly version?: string
  readonly parts?: Readonly<Record<string, string>>
}

/** The server's API, as far as the extension uses it, over real HTTP on a free port. */
export interface FixtureServer {
  readonly url: string
  readonly token: string
  /** Paths asked for, with the method: `POST /api/partners/mlflow/check`. */
  readonly requests: readonly string[]
  /** Partners that a check finds as they are; a new state is sent to everyone who follows the events. */
  set(partner: FixturePartner): void
  remove(name: string): void
  /** Sends an event to everyone who follows. */
  send(event: string, data: unknown): void
  /** Sends bytes as they are, to cut events where the network might. */
  write(bytes: Uint8Array): void
  /** How many follow the events. */
  followers(): number
  /** Ends all connections and stops listening; the announcement stays, as after a kill. */
  stop(): Promise<void>
  /** Listens on the same port again. */
  start(): Promise<void>
  close(): Promise<void>
}

const readBody = async (request: IncomingMessage): Promise<void> => {
  for await (const _ of request);
}

/** Opens the server and announces it in `folder/.ecokit`, as `ecokit up` does. */
export const openFixtureServer = async (
  partners: readonly FixturePartner[],
  folder?: string,
  token = randomBytes(24).toString('base64url'),
): Promise<FixtureServer> => {
  const known = new Map(partners.map((partner) => [partner.name, partner]))
  const requests: string[] = []
  const followers = new Set<ServerResponse>()
  const json = (response: ServerResponse, status: number, value: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  }
  const send = (event: string, data: unknown): void => {
    for (const follower of followers) follower.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  }
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://127.0.0.1')
    requests.push(`${request.method ?? ''} ${pathname}`)
    await readBody(request)
    if (pathname === '/' && searchParams.get('token') === token) {
      response
        .writeHead(303, { location: '/', 'set-cookie': 'ecokit_session=1; HttpOnly; SameSite=Strict; Path=/' })
        .end()
      return
    }
    if (request.headers.authorization !== `Bearer ${token}`) {
      json(response, 401, { error: { code: 'unauthenticated', message: 'the token is missing or wrong' } })
      return
    }
    const checked = /^\/api\/partners\/([^/]+)\/check$/.exec(pathname)?.[1]
    if (pathname === '/api/partners') json(response, 200, { partners: [...known.values()] })
    else if (pathname === '/api/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      followers.add(response)
      response.on('close', () => followers.delete(response))
      response.write('event: hello\ndata: {"version":"0.1.0"}\n\n')
    } else if (checked !== undefined && request.method === 'POST') {
      const health = known.get(decodeURIComponent(checked))?.health
      if (health === undefined || health === null)
        json(response, 404, { error: { code: 'not_found', message: `there is no partner ${checked}` } })
      else {
        const state = { ...health, checkedAt: new Date().toISOString() }
        const { since: _since, ...seen } = state
        send('check', { partner: checked, health: state, check: seen })
        json(response, 200, seen)
      }
    } else json(response, 404, { error: { code: 'not_found', message: `there is no ${pathname}` } })
  }

  let port = 0
  let server: Server | undefined
  const start = async (): Promise<void> => {
    const listening = createServer((request, response) => {
      void answer(request, response)
    })
    await new Promise<void>((resolve, reject) => {
      listening.once('error', reject)
      listening.listen(port, '127.0.0.1', resolve)
    })
    port = (listening.address() as AddressInfo).port
    server = listening
  }
  const stop = async (): Promise<void> => {
    const listening = server
    server = undefined
    if (listening === undefined) return
    const closed = new Promise((resolve) => listening.close(resolve))
    listening.closeAllConnections()
    await closed
  }
  await start()
  const url = `http://127.0.0.1:${port}`
  const state = folder === undefined ? undefined : path.join(folder, '.ecokit')
  if (state !== undefined) {
    await mkdir(state, { recursive: true })
    await writeFile(path.join(state, 'token'), `${token}\n`, { mode: 0o600 })
    await writeFile(path.join(state, 'server.json'), JSON.stringify({ url, pid: process.pid }))
  }
  return {
    url,
    token,
    requests,
    set: (partner) => {
      known.set(partner.name, partner)
      if (partner.health !== null) {
        const { since: _since, ...seen } = partner.health
        send('check', { partner: partner.name, health: partner.health, check: seen })
      }
      send('partner', partner)
    },
    remove: (name) => {
      known.delete(name)
      send('partner-removed', { name })
    },
    send,
    write: (bytes) => {
      for (const follower of followers) follower.write(bytes)
    },
    followers: () => followers.size,
    stop,
    start,
    close: async () => {
      await stop()
      if (state !== undefined) await rm(state, { recursive: true, force: true })
    },
  }
}

const time = '2026-11-21T12:00:00.000Z'
const health = (more: Partial<FixtureHealth> = {}): FixtureHealth => ({
  status: 'healthy',
  since: time,
  checkedAt: time,
  latencyMs: 42,
  ...more,
})

/** Three partners as an MLOps team has them, all well. */
export const samplePartners: readonly FixturePartner[] = [
  {
    name: 'mlflow',
    connector: 'mlflow',
    title: 'MLflow',
    tier: 'community',
    owner: 'ml-platform@example.com',
    health: health({ version: '3.18.0' }),
  },
  {
    name: 'lake',
    connector: 'local',
    title: 'Local lake',
    tier: 'community',
    owner: null,
    health: health({ latencyMs: 3 }),
  },
  {
    name: 'mlflow-prod',
    connector: 'mlflow',
    title: 'MLflow',
    tier: 'enterprise',
    owner: 'ml-platform@example.com',
    health: health({ latencyMs: 118, version: '3.17.2', parts: { runs: 'ok', registry: 'ok' } }),
  },
]

/** A partner of the sample with another state. */
export const changed = (name: string, more: Partial<FixtureHealth>): FixturePartner => {
  const partner = samplePartners.find((sample) => sample.name === name)
  if (partner === undefined) throw new Error(`there is no sample partner ${name}`)
  const { latencyMs: _latency, ...bare } = partner.health ?? health()
  return { ...partner, health: { ...(more.status === 'unhealthy' ? bare : (partner.health ?? health())), ...more } }
}
