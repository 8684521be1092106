import { randomUUID } from 'node:crypto'
import { link, realpath, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cancelled } from '@ecokit/connect/writing'
import { integrationError } from '@ecokit/contracts'
import type * as DuckModule from '@duckdb/node-api'
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { databaseError, lockHolder } from './errors.ts'
import { makeFolder } from './make-folder.ts'

export type Duck = typeof DuckModule
/** DuckDB itself: 70 MB of native code, so it is loaded at its first use and never by importing the connector. */
export const loadDuck = async (): Promise<Duck> => {
  const [duck, { textDecoder }] = await Promise.all([
    import('@duckdb/node-api'),
    import('@duckdb/node-api/lib/vectors/dataAccessors.js'),
  ])
  // Theirs drops a byte order mark at the beginning of every text, which is part of the value.
  textDecoder.decode = exactTexts.decode.bind(exactTexts)
  return duck
}
const exactTexts = new TextDecoder('utf-8', { ignoreBOM: true })

/** Extensions are never fetched: nothing in this package goes to the network. */
export const settings = { autoinstall_known_extensions: 'false', autoload_known_extensions: 'false' } as const
// DuckDB folds its log into the file at 16 MiB, which with a commit each 10,000 rows costs more than the commits themselves (measured: three times
// the processor time of commits at 64 MiB). A process that starts after a crash replays at most this much.
const fileSettings = { ...settings, checkpoint_threshold: '64MB' } as const
/**
 * For a database that only converts files: one thread, since the next lines are taken meanwhile (a second costs a quarter more processor time and gains nothing); little memory,
 * and the system gets it back soon (measured: 250 instead of 340 MB for a million rows).
 */
const convertSettings = {
  ...fileSettings,
  threads: '1',
  memory_limit: '256MB',
  allocator_flush_threshold: '16MB',
  allocator_bulk_deallocation_flush_threshold: '32MB',
} as const

interface Shared {
  readonly instance: Promise<DuckDBInstance>
  references: number
  idle: NodeJS.Timeout | undefined
  closing: Promise<void> | undefined
  /** After a fatal error DuckDB refuses everything until the file is opened anew. */
  broken: boolean
  readonly writers: Set<string>
  readonly once: Map<string, Promise<void>>
}
// One map for the whole process, also where two copies of this package are loaded: DuckDB's file lock is a POSIX record lock, which another
// instance in the same process passes, and drops for both when it closes (tried with DuckDB 1.5.6).
const key = Symbol.for('@ecokit/connector-local/databases/1')
const databases = ((globalThis as Record<symbol, unknown>)[key] ??= new Map<string, Shared>()) as Map<string, Shared>

export interface Waiting {
  readonly partner: string
  readonly signal?: AbortSignal | undefined
  /** How long a lock held elsewhere is waited for. */
  readonly waitMs?: number | undefined
  /** The database converts files and keeps no data of its own. */
  readonly converts?: boolean
}
const idleMs = 250

/** An open database: others in this process may hold it too, other processes may not. */
export interface Database {
  readonly file: string
  readonly duck: Duck
  connect(): Promise<DuckDBConnection>
  /** Runs the work once as long as the file stays open. */
  once(name: string, work: () => Promise<void>): Promise<void>
  /** The right to write one table; waits for it, then fails with `conflict`. Call what it returns to give it back. */
  reserve(table: string, waiting: Waiting): Promise<() => void>
  /** Notes an error, so that a database which DuckDB has shut down is opened anew. */
  failed(thrown: unknown): void
  /** Gives it back; the file is closed a moment after the last user did. */
  release(): void
}

/** Polls until the attempt gives a value; undefined means later. */
const waitFor = async <T>(
  attempt: () => Promise<T | undefined> | T | undefined,
  waiting: Waiting,
): Promise<T | undefined> => {
  const deadline = performance.now() + (waiting.waitMs ?? 10_000)
  for (let pause = 10; ; pause = Math.min(pause * 2, 200)) {
    if (waiting.signal?.aborted === true) throw cancelled(waiting.partner)
    const value = await attempt()
    if (value !== undefined) return value
    if (performance.now() + pause > deadline) return undefined
    await sleep(pause, undefined, waiting.signal === undefined ? {} : { signal: waiting.signal }).catch(() => undefined)
  }
}

/** The same file by whatever path it is named. */
const realFile = async (file: string): Promise<string> => {
  const absolute = path.resolve(file)
  try {
    return await realpath(absolute)
  } catch {
    return path.join(await realpath(path.dirname(absolute)), path.basename(absolute))
  }
}

const close = (file: string, shared: Shared): Promise<void> => {
  clearTimeout(shared.idle)
  // One at a time: a second one would close the database under the first one's connection.
  shared.closing ??= fold(file, shared).finally(() => (shared.closing = undefined))
  return shared.closing
}
const fold = async (file: string, shared: Shared): Promise<void> => {
  const unused = () => shared.references === 0 && databases.get(file) === shared
  if (!unused()) return
  const instance = await shared.instance
  // Folds the log into the file on another thread; closing would do it on this one.
  if (!shared.broken)
    await withConnection(instance, (connection) => connection.run('CHECKPOINT')).catch(() => undefined)
  // Somebody may have taken it meanwhile.
  if (!unused()) return
  databases.delete(file)
  instance.closeSync()
}
const withConnection = async <T>(
  instance: DuckDBInstance,
  work: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> => {
  const connection = await instance.connect()
  try {
    return await work(connection)
  } finally {
    connection.closeSync()
  }
}

/** Makes an empty database in one step: a process that dies half-way must not leave a file that DuckDB refuses for ever. */
const makeFile = async (duck: Duck, file: string): Promise<void> => {
  const temporary = `${file}.${randomUUID()}.new`
  const instance = await duck.DuckDBInstance.create(temporary, settings)
  instance.closeSync()
  try {
    await link(temporary, file)
  } catch {
    // Another process was faster, and its file counts; or the file system has no links.
    if (!(await exists(file))) await rename(temporary, file)
  } finally {
    await rm(temporary, { force: true })
  }
}
const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  )
const openInstance = async (duck: Duck, file: string, converts: boolean): Promise<DuckDBInstance> => {
  if (!(await exists(file))) await makeFile(duck, file)
  const instance = await duck.DuckDBInstance.create(file, converts ? convertSettings : fileSettings)
  try {
    const found = await withConnection(instance, (connection) =>
      connection.runAndReadAll('SELECT path FROM duckdb_databases() WHERE database_name = current_database()'),
    )
    // A CSV or Parquet file becomes a view in memory, into which nothing could be kept.
    if (found.getRows()[0]?.[0] === null) throw new Error('it is not a database: DuckDB opens it as data')
    return instance
  } catch (thrown) {
    instance.closeSync()
    throw thrown
  }
}

/** Closes at once what nobody in this process uses any more: a database file, or the lock files in a folder. */
export const closeIdle = async (place: string): Promise<void> => {
  const real = await realFile(place).catch(() => place)
  for (const [file, shared] of databases)
    if (file === real || file.startsWith(`${real}${path.sep}`)) await close(file, shared)
}

/** Opens a DuckDB file, or joins those in this process who have it open; waits while another process holds it. */
export const openDatabase = async (file: string, waiting: Waiting): Promise<Database> => {
  const { partner } = waiting
  let real: string
  try {
    await makeFolder(path.dirname(path.resolve(file)))
    real = await realFile(file)
  } catch (thrown) {
    throw databaseError(thrown, { partner, what: `cannot open ${file}` })
  }
  const duck = await loadDuck()
  let locked = ''
  const shared = await waitFor(async () => {
    const found: Shared = databases.get(real) ?? {
      instance: openInstance(duck, real, waiting.converts === true),
      references: 0,
      idle: undefined,
      closing: undefined,
      broken: false,
      writers: new Set(),
      once: new Map(),
    }
    if (found.broken) return undefined
    databases.set(real, found)
    found.references += 1
    clearTimeout(found.idle)
    try {
      await found.instance
      return found
    } catch (thrown) {
      if (databases.get(real) === found) databases.delete(real)
      const holder = lockHolder(thrown)
      if (holder === undefined) throw databaseError(thrown, { partner, what: `cannot open ${file}` })
      locked = holder
      return undefined
    }
  }, waiting)
  if (shared === undefined)
    throw integrationError('conflict', {
      partner,
      what: `${file} is held by ${locked === '' ? 'another user in this process' : locked}`,
      next: 'Wait until it is done or close it, then try again',
      details: {},
      retryable: true,
    })
  return handle(file, real, duck, shared)
}

const handle = (file: string, real: string, duck: Duck, shared: Shared): Database => {
  let released = false
  return {
    file,
    duck,
    connect: async () => (await shared.instance).connect(),
    once: (name, work) => {
      const running = shared.once.get(name) ?? work()
      shared.once.set(name, running)
      return running.catch((thrown: unknown) => {
        shared.once.delete(name)
        throw thrown
      })
    },
    reserve: async (table, waiting) => {
      const name = table.toLowerCase()
      const mine = await waitFor(() => {
        if (shared.writers.has(name)) return undefined
        shared.writers.add(name)
        return true
      }, waiting)
      if (mine === undefined)
        throw integrationError('conflict', {
          partner: waiting.partner,
          what: `table ${table} of ${file} is being written by another writer of this process`,
          next: 'Wait until it is done',
          details: {},
          retryable: true,
        })
      return () => void shared.writers.delete(name)
    },
    failed: (thrown) => {
      // "FATAL Error: …" and afterwards "… database has been invalidated because of a previous fatal error".
      if (thrown instanceof Error && /^FATAL|invalidated/.test(thrown.message)) shared.broken = true
    },
    release: () => {
      if (released) return
      released = true
      shared.references -= 1
      if (shared.references > 0) return
      if (shared.broken) void close(real, shared)
      else shared.idle = setTimeout(() => void close(real, shared), idleMs).unref()
    },
  }
}
