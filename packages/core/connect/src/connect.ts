import { integrationError, toIntegrationError } from '@ecokit/contracts'
import type {
  AnyConnection,
  AnyConnector,
  Api,
  Authorizer,
  CallOptions,
  Capability,
  ConnectAs,
  Connection,
  Connector,
  Manifest,
  OpenHttp,
  Operation,
  WriteOptions,
} from '@ecokit/contracts'
import { memoryShared, openNetwork, resolveHosts, systemClock } from '@ecokit/http'
import { authOf } from './auth.ts'
import { openAuthorizer } from './credentials.ts'
import { datasetOf } from './dataset.ts'
import { checkWrite, guardWriter } from './data.ts'
import type { AnyWriter } from './data.ts'
import { openCheck } from './health.ts'
import { missing, own, unsupported } from './known.ts'
import { openLine, sequence, single } from './line.ts'
import type { Line } from './line.ts'
import { holdsStream, readInput, readOutput } from './operations.ts'
import { wrapRead } from './read.ts'
import { checkRest } from './rest/template.ts'
import type { Runtime } from './runtime.ts'
import type { AnySession } from './session.ts'
import { checkConfig, checkCredentials } from './settings.ts'

type AnyCall = (input: unknown, options?: CallOptions) => Promise<unknown> | AsyncIterable<unknown>
type AnyApi = Readonly<Record<string, AnyCall>>

const wrapOperation = (line: Line, name: string, operation: Operation, perform: unknown): AnyCall => {
  const call = { kind: 'call', name, effect: operation.effect } as const
  const implementation = (input: unknown, signal: AbortSignal) => {
    if (typeof perform !== 'function') throw missing(line.partner, name)
    return (perform as (input: unknown, options: CallOptions) => never)(input, { signal })
  }
  const accept = readInput(line.partner, name, operation.input)
  const verify = readOutput(line.partner, name, operation.output)
  const lasting = () => holdsStream(operation.output)
  return operation.many
    ? sequence<unknown, unknown, unknown>(line, call, { accept, perform: implementation, verify })
    : single<unknown, unknown, unknown>(line, call, { accept, perform: implementation, verify, lasting })
}

const wrapCapabilities = (line: Line, manifest: Manifest, session: AnySession) =>
  Object.fromEntries(
    Object.entries(manifest.provides ?? {}).map(([key, capability]): [string, AnyApi] => [
      key,
      Object.fromEntries(
        Object.entries(capability.operations).map(([name, operation]) => [
          name,
          wrapOperation(line, `${key}.${name}`, operation, session.provides?.[key]?.[name]),
        ]),
      ),
    ]),
  )

const wrapWrite =
  (line: Line, manifest: Manifest, session: AnySession, writers: Set<AnyWriter>) =>
  async (name: string, options: WriteOptions): Promise<AnyWriter> => {
    const { partner } = line
    const declared = own(manifest.sinks, name)
    if (declared === undefined) throw unsupported(partner, `sink ${name}`, Object.keys(manifest.sinks ?? {}))
    const call = { kind: 'write', name, effect: 'write' } as const
    const watch = line.watch(call)
    // One event for a whole writer, at its end: a sync writes thousands of batches.
    const quiet: Line = { ...line, watch: () => undefined }
    const opened = single(quiet, call, {
      accept: () => checkWrite(partner, name, declared, options),
      perform: (_input, signal) => {
        const write = own(session.write, name)
        if (write === undefined) throw missing(partner, `the sink ${name}`)
        return write({ ...options, signal })
      },
      verify: (writer) => writer,
      lasting: () => true,
    })
    try {
      const writer = guardWriter(quiet, name, declared, await opened(undefined, options), (rows) => {
        writers.delete(writer)
        watch?.end(undefined, rows)
      })
      writers.add(writer)
      return writer
    } catch (thrown) {
      const error = toIntegrationError(thrown, partner)
      watch?.end(error.code)
      throw error
    }
  }

const firstHost = (partner: string, manifest: Manifest, config: unknown): string => {
  const host = resolveHosts(manifest.hosts, config, partner)[0]
  if (host === undefined) throw unsupported(partner, 'host to send a request to', [])
  return host.origin
}

/** Connects to a partner through a connector that is known only at run time; `credentials` may be left out where the connector has none or offers a scheme of kind `none`. Does no I/O. */
export const connectUnknown = (
  connector: AnyConnector,
  as: { readonly name?: string; readonly config: unknown; readonly credentials?: unknown },
  runtime: Runtime = {},
): AnyConnection => {
  const { manifest } = connector
  const partner = as.name ?? manifest.id
  if ((connector.contract as number) !== 1)
    throw integrationError('unsupported', {
      partner,
      what: `the connector ${manifest.id} is made for contract ${String(connector.contract)}`,
      next: 'Update @ecokit/connect',
      details: { what: `contract ${String(connector.contract)}` },
    })
  const config = checkConfig(manifest, partner, as.config)
  checkRest(manifest, partner, config)
  const chosen = checkCredentials(manifest, partner, as.credentials)
  const { scheme, name: schemeName, credentials, secrets } = chosen
  /** Those of credentials that took over since too. */
  const allSecrets = new Set(secrets)

  const closing = new AbortController()
  const line = openLine({ partner, closed: closing.signal, secrets, runtime })
  const { clock = systemClock, random = Math.random } = runtime
  const { now, sleep } = clock
  const opening = { kind: 'call', name: 'open', effect: 'read' } as const
  const attempt = <T>(work: () => T): T => {
    try {
      return work()
    } catch (thrown) {
      throw line.failure(thrown, opening)
    }
  }
  const tokens = runtime.tokens ?? memoryShared(now)
  let auth: ReturnType<typeof openAuthorizer> | undefined
  const network = attempt(() =>
    openNetwork({
      partner,
      hosts: manifest.hosts,
      ...(scheme?.hosts !== undefined && { tokenHosts: scheme.hosts }),
      config,
      ...(scheme !== undefined && {
        authorizer: (http: OpenHttp) => {
          auth = openAuthorizer({
            manifest,
            partner,
            chosen,
            scheme,
            open: (way, given) => way.open(given, { partner, config, http, tokens, now, sleep, random }),
            renew: runtime.renewCredentials,
            hide: (more) => {
              network.hide(more)
              line.hide(more)
              for (const one of more) allSecrets.add(one)
            },
          })
          return auth.current()
        },
        ...(runtime.renewCredentials !== undefined && {
          replaceAuthorizer: async (refused: Authorizer) => auth?.replace(refused),
        }),
      }),
      policy: manifest.policy,
      closed: closing.signal,
      secrets,
      runtime: line.counted,
    }),
  )
  const session = attempt(
    () =>
      (connector.open as (opening: object) => object)({
        config,
        http: network.http,
        socket: network.socket,
        credentials: { scheme: schemeName, ...(scheme?.exposed === true && credentials) },
        name: partner,
      }) as AnySession,
  )

  const apis = attempt(() => wrapCapabilities(line, manifest, session))
  const writers = new Set<AnyWriter>()
  let closed: Promise<void> | undefined
  const shut = async () => {
    closing.abort(
      integrationError('cancelled', {
        partner,
        what: 'the connection is closed',
        next: 'Connect again to go on',
        details: {},
      }),
    )
    const ends = [...[...writers].map((writer) => () => writer[Symbol.asyncDispose]()), () => session.close?.()]
    const outcomes = await Promise.allSettled(ends.map(async (end) => end()))
    await network.close()
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failed !== undefined) throw line.failure(failed.reason, { ...opening, name: 'close' })
  }
  const close = () => (closed ??= shut())

  return {
    ...apis,
    name: partner,
    manifest,
    check: openCheck(line, {
      timeoutMs: runtime.checkTimeoutMs ?? 10_000,
      check: (options) => session.check(options),
      clock,
      ...(manifest.hosts.length > 0 && { circuit: () => network.guard.state().circuit }),
      oldTls: network.oldTls,
    }),
    auth: authOf(line, () => auth?.current()),
    dataset: (table, sink) => datasetOf(manifest, config, table, sink),
    http: (baseUrl, options) => network.http(baseUrl ?? firstHost(partner, manifest, config), options),
    call: (capability, operation, input, options) => {
      const api = own(apis, capability)
      if (api === undefined) throw unsupported(partner, `capability ${capability}`, Object.keys(apis))
      const call = own(api, operation)
      if (call === undefined) throw unsupported(partner, `operation ${capability}.${operation}`, Object.keys(api))
      return call(input, options)
    },
    ...((manifest.streams !== undefined || manifest.discovers === true) && {
      read: wrapRead(line, manifest, session, {
        partner,
        manifest,
        config,
        http: network.http,
        now,
        isSecret: (value) => allSecrets.has(value),
      }),
    }),
    ...(manifest.discovers === true && {
      discover: (options?: CallOptions) =>
        sequence(line, { kind: 'discover', name: 'discover', effect: 'read' } as const, {
          accept: () => undefined,
          perform: (_input, signal) => {
            if (session.discover === undefined) throw missing(partner, 'discover')
            return session.discover({ signal })
          },
          verify: (found) => found,
        })(undefined, options),
    }),
    ...(manifest.sinks !== undefined && { write: wrapWrite(line, manifest, session, writers) }),
    ...(manifest.events !== undefined && { events: session.events }),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Connects to a partner: checks config and credentials at once, does no I/O, and wraps every operation that the manifest lists. */
export const connect = <M extends Manifest>(
  connector: Connector<M>,
  as: ConnectAs<M>,
  runtime: Runtime = {},
): Connection<M> => connectUnknown(connector, as, runtime) as unknown as Connection<M>

/** The typed API of a capability on a connection of unknown make; undefined when its connector does not provide that version of it. */
export const use = <C extends Capability>(connection: AnyConnection, capability: C): Api<C> | undefined => {
  const found = Object.entries(connection.manifest.provides ?? {}).find(
    ([, provided]) => provided.id === capability.id && provided.version === capability.version,
  )
  if (found === undefined) return undefined
  const [key, provided] = found
  const api = (connection as unknown as Readonly<Record<string, AnyApi>>)[key] ?? {}
  // An operation that a newer copy of the template added is refused by name instead of being undefined.
  const added = Object.keys(capability.operations).filter((name) => !Object.hasOwn(provided.operations, name))
  const refusals = added.map((name): [string, AnyCall] => [
    name,
    () => {
      throw unsupported(connection.name, `operation ${key}.${name}`, Object.keys(api))
    },
  ])
  return { ...Object.fromEntries(refusals), ...api } as unknown as Api<C>
}
