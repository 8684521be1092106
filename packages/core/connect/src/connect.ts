import { integrationError, toIntegrationError } from '@ecokit/contracts'
import type {
  AnyConnection,
  AnyConnector,
  Api,
  AnyRecord,
  Authorizer,
  Batch,
  CallOptions,
  Capability,
  ConnectAs,
  Connection,
  Connector,
  IntegrationError,
  Manifest,
  OpenHttp,
  Operation,
  ReadOptions,
  WriteOptions,
} from '@ecokit/contracts'
import { memoryShared, openNetwork, resolveHosts, systemClock } from '@ecokit/http'
import { authOf } from './auth.ts'
import { openAuthorizer } from './credentials.ts'
import { datasetOf } from './dataset.ts'
import { checkWrite, countBatch, guardWriter, recordChecker } from './data.ts'
import type { AnyWriter } from './data.ts'
import { openCheck } from './health.ts'
import { openLine, sequence, single } from './line.ts'
import type { Line } from './line.ts'
import { holdsStream, readInput, readOutput } from './operations.ts'
import type { RestReading } from './rest/pass.ts'
import { checkRest } from './rest/template.ts'
import type { Runtime } from './runtime.ts'
import type { AnySession } from './session.ts'
import { checkConfig, checkCredentials } from './settings.ts'

type AnyCall = (input: unknown, options?: CallOptions) => Promise<unknown> | AsyncIterable<unknown>
type AnyApi = Readonly<Record<string, AnyCall>>

const unsupported = (partner: string, what: string, known: readonly string[]): IntegrationError =>
  integrationError('unsupported', {
    partner,
    what: `there is no ${what}`,
    next: known.length === 0 ? 'The connector has none at all' : `Choose one of: ${known.join(', ')}`,
    details: { what },
  })

const missing = (partner: string, what: string): IntegrationError =>
  integrationError('internal', {
    partner,
    what: `the connector declares ${what} and does not implement it`,
    next: 'Report it to the maker of the connector',
    details: {},
  })

/** What a record holds under its own key: names from outside must not reach a prototype. */
const own = <T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined =>
  record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined

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

/** What a declared stream is read with; its reader is loaded by the first read. */
const restRead = async function* (reading: RestReading): AsyncGenerator<Batch<unknown>> {
  const { readRest } = await import('./rest/read.ts')
  yield* readRest(reading)
}

/** Batches as `check` leaves them. */
const checked = async function* (
  batches: AsyncIterable<Batch<unknown>>,
  check: ReturnType<typeof recordChecker>,
): AsyncGenerator<Batch<AnyRecord>> {
  for await (const batch of batches) yield await check(batch)
}

const wrapRead =
  (line: Line, manifest: Manifest, session: AnySession, way: Omit<RestReading, 'name' | 'options'>) =>
  (name: string, options: ReadOptions = {}) => {
    const { partner } = line
    const declared = own(manifest.streams, name)
    let check: ReturnType<typeof recordChecker>
    return sequence(line, { kind: 'read', name, effect: 'read' } as const, {
      accept: () => {
        // What connect reads itself is checked where it is read.
        if (declared?.rest !== undefined) return
        if (declared !== undefined) check = recordChecker(partner, name, declared, options)
        else if (manifest.discovers !== true)
          throw unsupported(partner, `stream ${name}`, Object.keys(manifest.streams ?? {}))
      },
      perform: (_input, signal) => {
        const given = { ...options, signal }
        if (declared?.rest !== undefined) return restRead({ ...way, name, options: given })
        const read = declared === undefined ? undefined : own(session.read, name)
        if (read !== undefined) return checked(read(given), check)
        if (declared !== undefined || session.readDiscovered === undefined) throw missing(partner, `the stream ${name}`)
        return session.readDiscovered(name, given)
      },
      verify: (batch) => batch as Batch<AnyRecord>,
      count: countBatch,
    })(undefined, options)
  }

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
        isSecret: (value) => secrets.includes(value),
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
