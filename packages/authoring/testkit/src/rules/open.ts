import { channel } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { checkConfig, checkCredentials } from '@ecokit/connect'
import type { Http } from '@ecokit/contracts'
import { resolveHosts } from '@ecokit/http'
import { operationsOf } from '../probes.ts'
import type { Rule } from '../types.ts'

// Node tells of every TCP connection that a client opens: https://nodejs.org/api/diagnostics_channel.html#net
const sockets = channel('net.client.socket')

/** Collects where the process connects to while the work goes on. */
const watchSockets = () => {
  const found: { readonly socket: Socket; host?: string }[] = []
  const notice = (message: unknown) => {
    const { socket } = message as { readonly socket: Socket }
    const entry: { readonly socket: Socket; host?: string } = { socket }
    found.push(entry)
    socket.once('lookup', (_error: Error | null, _address: string, _family: unknown, host: string) => {
      entry.host = host
    })
    socket.once('connect', () => {
      entry.host ??= socket.remoteAddress ?? ''
      entry.host += `:${String(socket.remotePort)}`
    })
  }
  sockets.subscribe(notice)
  return {
    opened: () => found.length,
    /** `host:port` of those that came about. */
    hosts: () => found.flatMap(({ host }) => (host?.includes(':') === true ? [host] : [])),
    stop: () => sockets.unsubscribe(notice),
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** An http that nobody may use yet. */
const silentHttp = (used: () => void) => (): Http => {
  const refuse = () => {
    used()
    throw new Error('a request during open')
  }
  return { request: refuse, json: refuse, bytes: refuse, pages: refuse, foreign: refuse }
}

export const openRules: readonly Rule[] = [
  {
    id: 'open.quiet',
    title: 'Connecting does no I/O: no request, no socket, no file',
    run: async ({ connect, fail }) => {
      const files = () => process.getActiveResourcesInfo().filter((name) => name.startsWith('FS')).length
      const before = files()
      const watch = watchSockets()
      try {
        const requests: unknown[] = []
        connect({ runtime: { observe: (exchange) => requests.push(exchange) } })
        if (files() > before) fail('open reads or writes a file')
        for (let turns = 0; turns < 5; turns += 1) await turn()
        if (requests.length > 0) fail('open sends a request')
        if (watch.opened() > 0) fail('open connects to a host')
      } finally {
        watch.stop()
      }
    },
  },
  {
    id: 'open.complete',
    title: 'What open gives back is exactly what the manifest declares',
    run: async ({ connector, manifest, options, fail }) => {
      const name = manifest.id
      const chosen = checkCredentials(manifest, name, options.credentials)
      const session = (connector.open as unknown as (opening: object) => Readonly<Record<string, unknown>>)({
        config: checkConfig(manifest, name, options.config),
        http: silentHttp(() => undefined),
        credentials: { scheme: chosen.name, ...(chosen.scheme?.exposed === true && chosen.credentials) },
        name,
      })
      const at = (path: readonly string[]): unknown =>
        path.reduce<unknown>((value, key) => (value as Readonly<Record<string, unknown>> | undefined)?.[key], session)
      const wanted = [
        ['check'],
        ...operationsOf(manifest).map(({ capability, operationName }) => ['provides', capability, operationName]),
        // What is declared with `rest` is read by connect.
        ...Object.entries(manifest.streams ?? {}).flatMap(([stream, { rest }]) =>
          rest === undefined ? [['read', stream]] : [],
        ),
        ...Object.keys(manifest.sinks ?? {}).map((sink) => ['write', sink]),
        ...(manifest.discovers === true ? [['discover'], ['readDiscovered']] : []),
      ]
      for (const path of wanted) if (typeof at(path) !== 'function') fail(`${path.join('.')} is declared and not there`)
      if (manifest.events !== undefined && typeof at(['events']) !== 'object') fail('events is declared and not there')
      const paths = wanted.map((path) => path.join('.'))
      for (const section of ['read', 'write'])
        for (const key of Object.keys(at([section]) ?? {}))
          if (!paths.includes(`${section}.${key}`))
            fail(`${section}.${key} is there and not declared, so that nobody can reach it`)
      for (const [capability, operations] of Object.entries(at(['provides']) ?? {}))
        for (const key of Object.keys(operations as object))
          if (!paths.includes(`provides.${capability}.${key}`))
            fail(`${capability}.${key} is there and not declared, so that nobody can reach it`)
      // Whether closing works is a rule of its own.
      await (at(['close']) as (() => Promise<void>) | undefined)?.call(session).catch(() => undefined)
    },
  },
  {
    id: 'hosts.declared',
    title: 'Only the declared hosts are connected to, through the http that the connector is given',
    run: async ({ connect, manifest, options, probes, within, fail }) => {
      const config = checkConfig(manifest, manifest.id, options.config)
      const declared = resolveHosts(manifest.hosts, config).map(({ origin }) => {
        const { hostname, port, protocol } = new URL(origin)
        return `${hostname.replace(/^\[|\]$/g, '')}:${port !== '' ? port : protocol === 'http:' ? '80' : '443'}`
      })
      const watch = watchSockets()
      try {
        let exchanges = 0
        const connection = connect({ runtime: { observe: () => (exchanges += 1) } })
        for (const probe of probes(['check', 'read', 'stream']))
          await within(probe.name, probe.run(connection, { limit: 1 }))
        const other = watch.hosts().find((host) => !declared.includes(host))
        if (other !== undefined) fail(`it connects to ${other}; declared: ${declared.join(', ') || 'none'}`)
        if (watch.opened() > 0 && exchanges === 0) fail('it opens sockets of its own, past the http that it is given')
      } finally {
        watch.stop()
      }
    },
  },
]
