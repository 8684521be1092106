import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { Agent, createServer, request as send, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Incoming, Outgoing, Plan, Seen, Upstream } from './kinds.ts'
import { mlflowPages, openPageFaults, type PageNames } from './pages.ts'
import { randomOf } from './random.ts'
import { refusals, serve, spoilers, type Spoiling } from './spoil.ts'

export interface FaultsOptions {
  readonly upstream: Upstream
  /** Default: as MLflow pages. */
  readonly pages?: PageNames
  /** Changes a request before the partner gets it, such as to ask for smaller pages. */
  readonly rewrite?: (request: Incoming) => Incoming
  /** Epoch milliseconds; give the client's own where that is not the machine's. */
  readonly now?: () => number
}
/** A server that stands before a partner and spoils what the plan says. */
export interface Faults extends AsyncDisposable {
  /** Without a trailing slash. */
  readonly url: string
  /** From now on this fault, or none; forgets what was seen. */
  set(plan?: Plan): void
  /** Every request since `set`. */
  readonly seen: readonly Seen[]
  /** Sockets that clients hold open. */
  sockets(): number
  /** How many connections came to the place to which `redirect` sends: none may. */
  lured(): number
  stop(): Promise<void>
}

const listen = async (server: Server): Promise<{ readonly url: string; readonly open: Set<Socket>; total: number }> => {
  const state = { url: '', open: new Set<Socket>(), total: 0 }
  server.on('connection', (socket) => {
    state.total += 1
    state.open.add(socket)
    socket.on('error', () => {}).on('close', () => state.open.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return state
}
const shut = async (server: Server): Promise<void> => {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

const whole = async (message: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const forward = (base: string, agent: Agent, request: Incoming): Promise<Outgoing> =>
  new Promise((resolve, reject) => {
    const target = new URL(base)
    const { 'transfer-encoding': _encoding, ...kept } = request.headers
    const headers = { ...kept, host: target.host, 'content-length': request.body.length, connection: 'keep-alive' }
    const path = `${target.pathname.replace(/\/$/, '')}${request.url}`
    const outgoing = send(target, { method: request.method, path, headers, agent }, (reply) => {
      whole(reply).then((body) => resolve({ status: reply.statusCode ?? 502, headers: reply.headers, body }), reject)
    })
    outgoing.on('error', reject)
    outgoing.end(request.body)
  })

/** Whether the fault falls on the request of this number, counted from 0 among those on which it can fall. */
const falls = (plan: Plan, index: number, random: () => number): boolean => {
  switch (plan.schedule) {
    case 'first':
      return index === 0
    case 'second':
      return index === 1
    case 'first two':
      return index < 2
    case 'half':
      return random() < 0.5
    case 'all':
      return true
  }
}

/** Starts the server, without a fault. Everything that it draws comes from the plan's seed, in the order in which requests come. */
export const startFaults = async (options: FaultsOptions): Promise<Faults> => {
  const { upstream, pages = mlflowPages, now = Date.now, rewrite = (request: Incoming) => request } = options
  const agent = new Agent({ keepAlive: true })
  const pageFaults = openPageFaults(pages)
  const refused = new Set<string>()
  let seen: Seen[] = []
  let plan: Plan | undefined
  let random = randomOf(0)
  let chances = 0
  let round = 0

  const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = 'GET', url = '/', headers } = incoming
    const address = new URL(url, 'http://here')
    const { authorization } = headers
    const one: Seen = {
      method,
      path: address.pathname,
      query: address.search,
      authorization,
      at: now(),
      forwarded: false,
    }
    seen.push(one)
    const began = round
    const request: Incoming = { method, url, headers, body: await whole(incoming) }
    const promised = pageFaults.promised(request)
    if (promised !== undefined && (plan?.kind === 'dupPage' || plan?.kind === 'loopCursor')) {
      one.fault = plan.kind
      serve(response, promised)
      return
    }
    const about: Spoiling = {
      random,
      now,
      elsewhere: elsewhere.url,
      url,
      notBefore: (at) => (one.notBefore = at),
    }
    const known = authorization !== undefined && refused.has(authorization)
    const kind = plan !== undefined && (known || falls(plan, chances++, random)) ? plan.kind : undefined
    const refuse = kind === undefined ? undefined : refusals[kind]
    // What an expired credential was replaced by is good.
    const renewed = kind === 'expired' && !known && refused.size > 0
    if (kind !== undefined && refuse !== undefined && !renewed) {
      one.fault = kind
      if (kind === 'expired' && authorization !== undefined) refused.add(authorization)
      refuse(response, about)
      return
    }
    one.forwarded = true
    const asked = rewrite(request)
    const reply = await (typeof upstream === 'string' ? forward(upstream, agent, asked) : upstream(asked))
    if (kind === undefined || renewed || began !== round) {
      serve(response, reply)
      return
    }
    const spoil = spoilers[kind]
    if (spoil !== undefined) {
      one.fault = kind
      await spoil(response, reply, about)
      return
    }
    const altered = pageFaults.alter(kind, reply, random)
    if (altered !== undefined) one.fault = kind
    // A reply without a place for the fault is no chance missed.
    else chances -= 1
    serve(response, altered ?? reply)
  }

  const server = createServer((incoming, response) => {
    response.on('error', () => {})
    answer(incoming, response).catch(() => response.destroy())
  })
  server.keepAliveTimeout = 60_000
  const lure = createServer((_, response) => void response.end())
  const [front, elsewhere] = await Promise.all([listen(server), listen(lure)])
  const stop = async (): Promise<void> => {
    await Promise.all([shut(server), shut(lure)])
    agent.destroy()
  }
  return {
    url: front.url,
    set: (next) => {
      round += 1
      plan = next
      random = randomOf(next?.seed ?? 0)
      chances = 0
      seen = []
      refused.clear()
      pageFaults.forget()
    },
    get seen() {
      return seen
    },
    sockets: () => front.open.size,
    lured: () => elsewhere.total,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
