import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { local } from '@ecokit/connector-local'
import type { IntegrationError } from '@ecokit/contracts'
import { openEcosystem } from '../src/ecosystem.ts'
import { openServer } from '../src/server.ts'
import type { ServerOptions } from '../src/server.ts'
import { checkState } from '../../../core/flow/test/openlineage.ts'
import { ask } from './ask.ts'
import { lab, startLab } from './lab.ts'

export const token = 'a-token-that-nobody-guesses'
export const connectors = [lab, local]

/** An ecosystem of one lab and one lake in a folder of its own, served. */
export const openSetting = async (
  about: {
    /** Below `pipelines:`; default one without an interval. */
    readonly pipelines?: string
    readonly checkEvery?: string
    readonly env?: Record<string, string>
    /** What the lab's token is in the file; default a variable. */
    readonly token?: string
    /** Runs before the ecosystem is opened. */
    readonly prepare?: (file: string) => Promise<void>
    readonly server?: Partial<ServerOptions>
  } = {},
) => {
  const folder = await mkdtemp(join(tmpdir(), 'ecokit-server-'))
  const partner = await startLab()
  const file = join(folder, 'ecosystem.yaml')
  const every = about.checkEvery ?? '60s'
  await writeFile(
    file,
    `version: 1
credentials:
  lab-token: { scheme: token, token: '${about.token ?? '${env:LAB_TOKEN}'}' }
partners:
  lab:
    connector: lab
    config: { url: '${partner.url}' }
    credentials: lab-token
    owner: lab@example.com
    tags: [bench]
    contract: { start: 2026-01-01 }
    check: { every: ${every}, timeout: 2s }
  lake:
    connector: local
    config: { database: '${join(folder, 'lake.duckdb')}' }
    check: { every: 60s }
pipelines:
${about.pipelines ?? '  lab-to-lake: { source: lab, sink: lake }'}
server: { port: 0 }
`,
  )
  await about.prepare?.(file)
  const errors: IntegrationError[] = []
  const env = { LAB_TOKEN: 'lab-secret', ...about.env }
  const runtime = await openEcosystem({ file, connectors, env })
  const server = await openServer({
    runtime,
    token,
    version: '1.2.3',
    onError: (error) => errors.push(error),
    ...about.server,
  })
  const headers = { authorization: `Bearer ${token}` }
  const json = { ...headers, 'content-type': 'application/json' }
  return {
    folder,
    file,
    env,
    partner,
    runtime,
    server,
    errors,
    get: (path: string) => ask(server.url, path, { headers }),
    send: (method: string, path: string, body?: unknown) =>
      ask(server.url, path, {
        method,
        ...(body === undefined ? { headers } : { headers: json, body: JSON.stringify(body) }),
      }),
    close: async () => {
      await server.close()
      await runtime.close()
      await partner.stop()
      // A database that is being closed may still take its own files away.
      checkState(folder)
      await rm(folder, { recursive: true, maxRetries: 10 })
    },
  }
}
export type Setting = Awaited<ReturnType<typeof openSetting>>

/** A client of the events, as a browser is one: what came so far, by name. */
export const follow = async (url: string) => {
  const stopping = new AbortController()
  const reply = await fetch(`${url}/api/events`, {
    headers: { authorization: `Bearer ${token}` },
    signal: stopping.signal,
  })
  const events: { readonly event: string; readonly data: never }[] = []
  let ended = false
  const reading = (async () => {
    let text = ''
    try {
      for await (const part of (reply.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
        text += part
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const lines = text.slice(0, end).split('\n')
          text = text.slice(end + 2)
          const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
          const data = field('data')
          if (data !== undefined) events.push({ event: field('event') ?? 'message', data: JSON.parse(data) as never })
        }
      }
    } catch (error) {
      if (!stopping.signal.aborted) throw error
    }
    ended = true
  })()
  return {
    events,
    of: <T>(name: string) => events.filter(({ event }) => event === name).map(({ data }) => data as T),
    ended: () => ended,
    close: async () => {
      stopping.abort()
      await reading
    },
    reading,
  }
}
