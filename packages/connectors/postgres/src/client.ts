import type { Duplex } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { cancelled, identifier } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import type { CallOptions, OpenedSocket } from '@ecokit/contracts'
import type { Client, Connection, FieldDef } from 'pg'
import { serverError } from './errors.ts'
import { maySendPassword } from './place.ts'
import type { Place } from './place.ts'

export type Value = string | null
export interface Answer {
  readonly fields: readonly FieldDef[]
  /** Values as the server writes them. */
  readonly rows: readonly (readonly Value[])[]
  readonly count: number
}
/** One connection to the server, used for one piece of work. */
export interface Session {
  /** The version as `SHOW server_version_num` gives it: 150018 for 15.18. */
  readonly version: number
  /** One statement with values, or several without. */
  run(text: string, values?: readonly unknown[]): Promise<Answer>
  /** One statement and no more, whatever the text holds. */
  runOne(text: string): Promise<Answer>
  copyIn(text: string, bytes: Iterable<Uint8Array | string>): Promise<number>
  copyOut(text: string): AsyncIterable<Uint8Array>
  /** Runs the work; when the signal is aborted the server is asked to stop what it does, and the work ends with `cancelled`. */
  within<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T>
  /** True once the connection is gone. */
  lost(): boolean
  end(): Promise<void>
  /** Without a farewell: for a read that is left in the middle. */
  destroy(): void
  /** The same, and the server is asked to stop what it does. */
  stop(): void
}

interface Given {
  readonly rows: readonly (readonly Value[])[]
  readonly fields: readonly FieldDef[]
  readonly rowCount: number | null
}
type Tls = Readonly<Record<string, unknown>> | false
const tlsOf = ({ ssl, config }: Place, { tls }: OpenedSocket): Tls => {
  if (ssl === 'disable') return false
  const ca = config.ca ?? tls.ca
  return {
    minVersion: tls.minVersion,
    // Said outright, so that NODE_TLS_REJECT_UNAUTHORIZED in the environment cannot switch it off.
    rejectUnauthorized: ssl !== 'require',
    ...(ca !== undefined && { ca }),
    ...(ssl === 'verify-ca' && { checkServerIdentity: () => undefined }),
  }
}

/** pg wants to connect its stream itself; ours is connected already. */
const connected = (socket: Duplex): Duplex =>
  Object.assign(socket, {
    connect: () => {
      process.nextTick(() => socket.emit('connect'))
      return socket
    },
  })

const connectTimeoutMs = 15_000
/** How long the server may take to stop what it was asked to stop, before the connection is cut. */
const cancelTimeoutMs = 5000

// Values come in one form whatever the server's own settings are; a session that waits for a slow source is not sent away; a table that somebody holds is not waited for without end.
const settings = (schema: string) => `
SET TimeZone TO 'UTC'; SET DateStyle TO 'ISO, YMD'; SET IntervalStyle TO 'postgres'; SET extra_float_digits TO 1; SET bytea_output TO 'hex';
SET standard_conforming_strings TO on; SET statement_timeout TO 0; SET idle_in_transaction_session_timeout TO 0; SET lock_timeout TO '60s';
SET search_path TO ${identifier(schema)}; SELECT current_setting('server_version_num')`

/** Opens a connection and logs in. All of it goes through the checked socket; nothing is read from the environment or from files. */
export const openSession = async (place: Place, options: CallOptions = {}): Promise<Session> => {
  const { partner, config } = place
  const what = `cannot log in to ${config.host}:${config.port}/${config.database}`
  const { default: pg } = await import('pg')
  const opened = await place.open({ host: config.host, port: config.port }, options)
  const tls = tlsOf(place, opened)
  let clear = false
  const client = new pg.Client({
    host: config.host,
    port: config.port,
    database: config.database,
    user: place.user,
    password: () => {
      const { password } = place
      if (password === undefined)
        throw integrationError('unauthenticated', {
          partner,
          what: `${what}: the server asks for a password`,
          next: 'Give the credentials of the scheme password',
          details: {},
        })
      if (clear && !maySendPassword(place))
        throw integrationError('unauthenticated', {
          partner,
          what: `${what}: the server asks for the password in clear text, and has not proved who it is`,
          next: 'Set config.ssl to verify-full, or let the server use scram-sha-256',
          details: {},
        })
      return password
    },
    ssl: tls,
    stream: () => connected(opened.socket),
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: 'ecokit',
    client_encoding: 'UTF8',
    keepAlive: true,
    types: { getTypeParser: () => (text: unknown) => text },
  })
  const { connection, connectionParameters } = client as unknown as {
    readonly connection: Connection
    readonly connectionParameters: { options?: string }
  }
  // pg takes an empty text here for none, and asks PGOPTIONS.
  delete connectionParameters.options
  connection.prependListener('authenticationCleartextPassword', () => (clear = true))
  let gone = false
  client.on('error', () => (gone = true)).on('end', () => (gone = true))
  const abort = () => opened.socket.destroy(cancelled(partner))
  options.signal?.addEventListener('abort', abort, { once: true })
  let version: number
  try {
    if (options.signal?.aborted === true) throw cancelled(partner)
    await client.connect()
    const answers = (await client.query({ text: settings(config.schema), rowMode: 'array' })) as unknown as readonly {
      readonly rows: readonly (readonly Value[])[]
    }[]
    version = Number(answers.at(-1)?.rows[0]?.[0])
    // A server that does not notice that we are gone would go on; not every version and platform has it.
    await client.query("SET client_connection_check_interval TO '5s'").catch(() => undefined)
  } catch (thrown) {
    opened.socket.destroy()
    if (options.signal?.aborted === true) throw cancelled(partner)
    throw serverError(thrown, { partner, what })
  } finally {
    options.signal?.removeEventListener('abort', abort)
  }
  return sessionOf(place, client, version, () => gone)
}

/** Asks the server to stop what a session does: over a connection of its own, protected like the session's. Ends when the server has been told. */
const askToStop = async (place: Place, client: Client): Promise<void> => {
  const { processID, secretKey } = client as unknown as { readonly processID: number; readonly secretKey: number }
  const { config } = place
  const { default: pg } = await import('pg')
  const opened = await place.open({ host: config.host, port: config.port }, { timeoutMs: cancelTimeoutMs })
  const tls = tlsOf(place, opened)
  const other = new pg.Connection({ stream: () => connected(opened.socket), ssl: tls }) as Connection & {
    connect(port: number, host: string): void
    requestSsl(): void
    cancel(processId: number, secret: number): void
  }
  const done = new Promise<void>((resolve) => {
    other.on('end', resolve).on('error', () => resolve())
    const stop = () => other.cancel(processID, secretKey)
    other.once('connect', () => (tls === false ? stop() : other.requestSsl()))
    other.once('sslconnect', stop)
  })
  const timer = setTimeout(() => opened.socket.destroy(), cancelTimeoutMs)
  other.connect(config.port, config.host)
  await done
  clearTimeout(timer)
  opened.socket.destroy()
}

const sessionOf = (place: Place, client: Client, version: number, lost: () => boolean): Session => {
  const { partner } = place
  const { connection } = client as unknown as { readonly connection: Connection }
  const destroy = () => {
    connection.stream.destroy()
  }
  let signal: AbortSignal | undefined
  const check = () => {
    if (signal?.aborted === true) throw cancelled(partner)
  }
  const query = async (config: object): Promise<Answer> => {
    check()
    // Its types do not know that several statements give several answers, nor `queryMode`.
    const ask = client.query.bind(client) as unknown as (config: object) => Promise<Given | readonly Given[]>
    const answer = await ask({ ...config, rowMode: 'array' })
    const last = 'rows' in answer ? answer : answer.at(-1)
    return { rows: last?.rows ?? [], fields: last?.fields ?? [], count: last?.rowCount ?? 0 }
  }
  return {
    version,
    lost,
    run: (text, values) => query({ text, ...(values !== undefined && { values }) }),
    runOne: (text) => query({ text, queryMode: 'extended' }),
    copyIn: async (text, bytes) => {
      check()
      const { from } = await import('pg-copy-streams')
      const stream = client.query(from(text))
      await pipeline(bytes, stream)
      return stream.rowCount
    },
    copyOut: async function* (text) {
      check()
      const { to } = await import('pg-copy-streams')
      const stream = client.query(to(text))
      try {
        for await (const chunk of stream) yield chunk as Uint8Array
        await finished(stream)
      } finally {
        stream.destroy()
      }
    },
    within: async (given, work) => {
      signal = given
      check()
      let stopping: Promise<void> | undefined
      let timer: NodeJS.Timeout | undefined
      const stop = () => {
        timer = setTimeout(destroy, cancelTimeoutMs)
        stopping = askToStop(place, client).catch(destroy)
      }
      given?.addEventListener('abort', stop, { once: true })
      try {
        return await work()
      } catch (thrown) {
        if (given?.aborted === true) throw cancelled(partner)
        throw thrown
      } finally {
        given?.removeEventListener('abort', stop)
        // The server gets the wish before it is told anything else.
        await stopping
        clearTimeout(timer)
        signal = undefined
      }
    },
    destroy,
    stop: () => void askToStop(place, client).catch(destroy).then(destroy),
    end: async () => {
      if (lost()) return
      const timer = setTimeout(destroy, cancelTimeoutMs)
      await client.end().catch(() => undefined)
      clearTimeout(timer)
    },
  }
}
