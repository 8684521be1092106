import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { integrationError } from '@ecokit/contracts'
import { certificate, key } from './azurite-certificate.ts'
import { withLock } from './lock.ts'
import { postgres } from './postgres-programs.ts'
import { end, startAnywhere, startOn, type Starting } from './process.ts'
import type { PythonOptions } from './python.ts'
import { postgresFolder } from './scripts.ts'

/** Rights of the server where we are root, under which it refuses to run: those of nobody. */
const nobody = 65_534
const asNobody = process.platform !== 'win32' && process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}

export interface PostgresOptions extends PythonOptions {
  /** Holds the cluster and its log; made when it is not there, with an existing cluster going on. Default: a new one in the system's temporary folder, which goes with `stop`. */
  readonly folder?: string
  /** More settings, such as `{ max_connections: '20' }`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Default 60,000 ms. */
  readonly startTimeoutMs?: number
}
export interface PostgresLogin {
  readonly username: string
  readonly password: string
}
/** A real PostgreSQL server on 127.0.0.1 with one database. Passwords are checked with SCRAM. */
export interface Postgres extends AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly database: string
  /** The first number of its version. */
  readonly major: number
  /** Its certificate in PEM, for 127.0.0.1 and localhost, for those who are to trust it. It speaks TLS to whoever asks. */
  readonly ca: string
  readonly logins: {
    /** May do everything. */
    readonly admin: PostgresLogin
    /** Owns nothing yet, and may make tables in the schema public. */
    readonly writer: PostgresLogin
    /** May read what it is given, and make nothing. */
    readonly reader: PostgresLogin
    /** Let in over TLS only. */
    readonly secure: PostgresLogin
    /** Asked for its password in clear text. */
    readonly plain: PostgresLogin
    /** Let in without a password, whatever it says. */
    readonly trusted: PostgresLogin
  }
  /** Runs statements as the administrator and gives the rows of the last one; numbers of 64 bits are texts. */
  sql(text: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>
  /** Ends it at once as an administrator does: clients are sent away, the data stays until the disposal of a temporary folder. */
  stop(): Promise<void>
  /** SIGKILL to the server: it recovers from its log at the next start. */
  kill(): Promise<void>
  /** Starts it again on the same port and data; after `stop` or `kill`. */
  restart(): Promise<void>
}

const access = `
hostssl all secure 127.0.0.1/32 scram-sha-256
host all secure 127.0.0.1/32 reject
host all plain 127.0.0.1/32 password
host all trusted 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
`
const settings: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  ssl: 'on',
  ssl_cert_file: 'server.crt',
  ssl_key_file: 'server.key',
  password_encryption: 'scram-sha-256',
  // The system keeps what a killed server has written; only a crash of the whole machine would lose it.
  fsync: 'off',
  max_connections: '60',
  shared_buffers: '64MB',
  logging_collector: 'off',
  lc_messages: 'C',
}

const owned = async (folder: string): Promise<void> => {
  if (!('uid' in asNobody)) return
  await chown(folder, nobody, nobody)
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true }))
    await chown(path.join(entry.parentPath, entry.name), nobody, nobody)
}

/** An empty cluster, made once for each version: to make one takes seconds, to copy it does not. */
const template = async (programs: string, options: PythonOptions): Promise<string> => {
  const { stdout } = await promisify(execFile)(path.join(programs, 'postgres'), ['--version'])
  const name = /\) (\d+(?:\.\d+)*)/.exec(stdout)?.[1] ?? 'unknown'
  const home = path.join(postgresFolder, `empty-${name}`)
  if (existsSync(home)) return home
  await withLock(home, 'an empty PostgreSQL cluster', options, async () => {
    if (existsSync(home)) return
    const making = await mkdtemp(path.join(tmpdir(), 'ecokit-initdb-'))
    await owned(making)
    await promisify(execFile)(
      path.join(programs, 'initdb'),
      ['-D', path.join(making, 'data'), '-U', 'admin', '-A', 'trust', '-E', 'UTF8', '--locale=C'].concat(
        '--no-sync',
        '--wal-segsize=1',
      ),
      { ...asNobody, cwd: making },
    ).catch((thrown: unknown) => {
      const error = thrown as Error & { stderr?: string }
      throw integrationError('unavailable', {
        what: `initdb failed: ${(error.stderr ?? error.message).trim().split('\n').slice(-2).join(' ')}`,
        details: {},
        retryable: false,
      })
    })
    const beside = `${home}.making`
    await rm(beside, { recursive: true, force: true })
    await cp(path.join(making, 'data'), beside, { recursive: true })
    await rename(beside, home)
    await rm(making, { recursive: true, force: true })
  })
  return home
}

const makeCluster = async (folder: string, programs: string, options: PostgresOptions): Promise<void> => {
  const data = path.join(folder, 'data')
  await cp(await template(programs, options), data, { recursive: true })
  await writeFile(path.join(data, 'server.crt'), certificate)
  await writeFile(path.join(data, 'server.key'), key)
  await chmod(path.join(data, 'server.key'), 0o600)
  // For the first start only, which makes the roles.
  await writeFile(path.join(data, 'pg_hba.conf'), 'host all all 127.0.0.1/32 trust\n')
  await chmod(data, 0o700)
  await owned(folder)
}

/** Runs the server until standard input closes, which also happens when this process dies; its clients are sent away, for otherwise it would wait for them. */
const guard = `const [file, options, ...words] = process.argv.slice(1)
const child = require('node:child_process').spawn(file, words, { ...JSON.parse(options), stdio: ['ignore', 'inherit', 'inherit'] })
child.on('exit', (code) => process.exit(code ?? 1)).on('error', () => process.exit(1))
process.stdin.on('end', () => child.kill('SIGQUIT')).on('error', () => child.kill('SIGQUIT')).resume()`

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })

const run = async (
  port: number,
  login: PostgresLogin,
  database: string,
  text: string,
  values?: readonly unknown[],
): Promise<readonly Record<string, unknown>[]> => {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    database,
    user: login.username,
    password: login.password,
    ssl: false,
  })
  client.on('error', () => {})
  await client.connect()
  try {
    const result = (await client.query(text, values as unknown[])) as pg.QueryResult | pg.QueryResult[]
    return (Array.isArray(result) ? result.at(-1) : result)?.rows as Record<string, unknown>[]
  } finally {
    await client.end()
  }
}

/** Starts a server on a free port and waits until it answers. Nothing of it outlives this process. */
export const startPostgres = async (options: PostgresOptions = {}): Promise<Postgres> => {
  const programs = await postgres(options)
  const temporary = options.folder === undefined
  const folder = path.resolve(options.folder ?? (await mkdtemp(path.join(tmpdir(), 'ecokit-postgres-'))))
  await mkdir(folder, { recursive: true })
  const data = path.join(folder, 'data')
  const fresh = !existsSync(data)
  if (fresh) await makeCluster(folder, programs, options)
  const given = { ...settings, ...options.settings }
  const starting: Starting = {
    title: 'PostgreSQL',
    log: path.join(folder, 'postgres.log'),
    startTimeoutMs: options.startTimeoutMs ?? 60_000,
    signal: options.signal,
    launch: (port, output) =>
      spawn(
        process.execPath,
        ['-e', guard, path.join(programs, 'postgres'), JSON.stringify({ ...asNobody, cwd: folder })]
          .concat('-D', data, '-p', String(port))
          .concat(Object.entries(given).flatMap(([name, value]) => ['-c', `${name}=${value}`])),
        { cwd: folder, detached: process.platform !== 'win32', stdio: ['pipe', output, output], windowsHide: true },
      ),
    ready: async (port, text) => text.includes('ready to accept connections') && (await answers(port)),
  }
  const first = await startAnywhere(starting)
  const { port } = first
  let { child } = first
  const database = 'ecokit'
  const passwordsFile = path.join(folder, 'passwords.json')
  const names = ['admin', 'writer', 'reader', 'secure', 'plain', 'trusted'] as const
  if (fresh) {
    const passwords = Object.fromEntries(names.map((name) => [name, randomBytes(18).toString('base64url')]))
    await writeFile(passwordsFile, JSON.stringify(passwords), { mode: 0o600 })
    const admin = { username: 'admin', password: '' }
    for (const name of names)
      await run(
        port,
        admin,
        'postgres',
        `${name === 'admin' ? 'ALTER' : 'CREATE'} ROLE ${name} LOGIN PASSWORD '${passwords[name] ?? ''}'`,
      )
    await run(port, admin, 'postgres', `CREATE DATABASE ${database}`)
    await run(
      port,
      admin,
      database,
      `REVOKE CREATE ON SCHEMA public FROM public; GRANT CREATE, USAGE ON SCHEMA public TO writer`,
    )
    await writeFile(path.join(data, 'pg_hba.conf'), access)
    await run(port, admin, database, 'SELECT pg_reload_conf()')
  }
  const passwords = JSON.parse(await readFile(passwordsFile, 'utf8')) as Record<string, string>
  const logins = Object.fromEntries(
    names.map((name) => [name, { username: name, password: passwords[name] ?? '' }]),
  ) as unknown as Postgres['logins']
  const sql: Postgres['sql'] = (text, values) => run(port, logins.admin, database, text, values)
  const [{ version } = {}] = await sql("SELECT current_setting('server_version_num') AS version")
  return {
    host: '127.0.0.1',
    port,
    database,
    major: Math.floor(Number(version) / 10_000),
    ca: certificate,
    logins,
    sql,
    stop: () => end(child, 'stop'),
    kill: async () => {
      const postmaster = path.join(data, 'postmaster.pid')
      const [pid = ''] = (await readFile(postmaster, 'utf8').catch(() => '')).split('\n')
      // Each of its processes leads a session of its own, so the group does not reach them.
      const processes = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=']).catch(() => ({ stdout: '' }))
      const below = processes.stdout.split('\n').flatMap((line) => {
        const [own = '', parent] = line.trim().split(/\s+/)
        return parent === pid ? [Number(own)] : []
      })
      await end(child, 'kill')
      for (const each of below)
        try {
          process.kill(each, 'SIGKILL')
        } catch {
          // It went with its server.
        }
      // Where nobody collects dead processes the number in the file seems to live for ever.
      await rm(postmaster, { force: true })
    },
    restart: async () => {
      child = await startOn(port, starting)
    },
    [Symbol.asyncDispose]: async () => {
      await end(child, 'stop')
      if (temporary) await rm(folder, { recursive: true, force: true })
    },
  }
}
