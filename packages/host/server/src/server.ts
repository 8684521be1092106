import type { HttpBindings } from '@hono/node-server'
import type { IntegrationError } from '@ecokit/contracts'
import { createApp } from './app.ts'
import type { EcosystemRuntime } from './ecosystem.ts'
import { allowedHosts } from './guard.ts'
import { openHub } from './hub.ts'
import { listen } from './listen.ts'
import { failure, json } from './reply.ts'
import { catalogueRoutes } from './routes/catalogue.ts'
import { findingRoutes } from './routes/findings.ts'
import { lineageRoutes } from './routes/lineage.ts'
import { partnerRoutes } from './routes/partners.ts'
import { pipelineRoutes } from './routes/pipelines.ts'
import { openRunner } from './runner.ts'
import { openViews } from './views.ts'
import { watch } from './watch.ts'

export interface ServerOptions {
  /** What is served; the caller closes it after the server. */
  readonly runtime: EcosystemRuntime
  /** The address to listen on. Default: the file's `server.host`. */
  readonly host?: string | undefined
  /** 0 takes a free port. Default: the file's `server.port`. */
  readonly port?: number | undefined
  /** What every request must show, but the two probes. */
  readonly token: string
  /** The console's files; without them, a page says how to build them. */
  readonly consoleDirectory?: URL | undefined
  /** Shown by `/api/summary`. */
  readonly version?: string
  /** Told of faults that no client can be told of: scheduled runs that cannot begin, and what nobody expected. */
  readonly onError?: (error: IntegrationError) => void
}

export interface Server extends AsyncDisposable {
  /** Without a path: `http://127.0.0.1:8000`. */
  readonly url: string
  readonly port: number
  /** Cancels the runs that it started, ends the event streams and stops listening. */
  close(): Promise<void>
}

/** Serves an ecosystem: checks partners, runs the pipelines that have an interval or a schedule, and answers. Throws `conflict` where the port is taken. */
export const openServer = async (options: ServerOptions): Promise<Server> => {
  const { runtime, token, consoleDirectory, version = '0.0.0', onError = () => undefined } = options
  const { health, registry, ecosystem } = runtime
  const host = options.host ?? ecosystem.server.host
  const hub = openHub()
  const runner = openRunner(runtime, onError)
  const views = openViews(runtime)
  const startedAt = Date.now()
  let hosts: ReadonlySet<string> = new Set()

  /** A partner whose check is overdue by three intervals says that checks do not run. */
  const overdue = async (): Promise<readonly string[]> => {
    const checked = new Map((await health.states()).map(({ partner, checkedAt }) => [partner, Date.parse(checkedAt)]))
    const now = Date.now()
    return (await registry.list())
      .filter(({ name, check, createdAt }) => {
        const since = Math.max(checked.get(name) ?? 0, startedAt, Date.parse(createdAt))
        return now - since > 3 * check.everyMs + check.timeoutMs + 5_000
      })
      .map(({ name }) => name)
  }

  const app = createApp({ token, version, consoleDirectory, onError, hosts: () => hosts }, (added) => {
    added.get('/healthz', () => json({ status: 'ok' }))
    added.get('/readyz', async () => {
      try {
        const late = await overdue()
        return late.length === 0 ? json({ status: 'ok' }) : json({ status: 'checks are late' }, 503)
      } catch {
        return json({ status: 'the store does not answer' }, 503)
      }
    })
    added.get('/api/events', (context) => {
      // hono answers HEAD by this handler and drops the body: a stream that nobody reads would keep its place for good.
      if (context.req.method === 'HEAD') return new Response(null, { headers: { 'content-type': 'text/event-stream' } })
      const { outgoing } = context.env as HttpBindings
      const hello = { version, at: new Date().toISOString() }
      return hub.open(hello, () => outgoing.destroy()) ?? failure('unavailable', 'too many clients follow the events')
    })
    catalogueRoutes(added, runtime, version)
    partnerRoutes(added, runtime, views)
    pipelineRoutes(added, runtime, runner)
    findingRoutes(added, runtime)
    lineageRoutes(added, runtime)
  })

  // Before anything listens: what fails here must not leave a port held without a server behind it.
  await runtime.recover()
  const listening = await listen(app, host, options.port ?? ecosystem.server.port)
  hosts = allowedHosts(host, listening.port)
  const watching = watch({ runtime, hub, views, onError })
  health.start()
  runner.startSchedules()

  const shut = async () => {
    hub.close()
    const answered = listening.close()
    await runner.close()
    await watching.close()
    await answered
  }
  let closed: Promise<void> | undefined
  const close = () => (closed ??= shut())
  return { url: listening.url, port: listening.port, close, [Symbol.asyncDispose]: close }
}
