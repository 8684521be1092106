import { existsSync } from 'node:fs'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { parseEcosystem } from '@ecokit/registry/file'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { loadConnectors } from '../src/connectors.ts'
import { ecokit, inProcess, openFolder, rows, start, until, writeEcosystem } from './run.ts'

// Each step is a process of its own, and the machine may be busy.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 300_000 })

let folder: string
let remove: () => Promise<void>
beforeAll(async () => {
  ;({ folder, remove } = await openFolder())
  await mkdir(join(folder, 'files'))
  await writeFile(join(folder, 'files', 'things.ndjson'), rows(200))
  await writeEcosystem(folder)
})
afterAll(async () => {
  process.chdir(import.meta.dirname)
  await remove()
})

/** In the folder, in this process. */
const quick = (...args: string[]) => inProcess(...args, '--file', join(folder, 'ecosystem.yaml'))

interface Run {
  readonly id: string
  readonly status: string
  readonly streams: readonly { readonly stream: string; readonly written: number }[]
}

test('help names every command, and every command shows an example', async () => {
  const { code, out, err } = await inProcess('--help')
  expect([code, err]).toEqual([0, ''])
  const commands = [
    'init',
    'up',
    'check',
    'partners',
    'connectors',
    'read',
    'call',
    'discover',
    'sync',
    'backfill',
    'runs',
    'run',
    'quarantine',
    'quality',
    'lineage',
    'contract',
    'schedule',
    'schema',
  ]
  for (const command of commands) {
    expect(out).toContain(`\n  ${command} `)
    const help = await inProcess(command, '--help')
    expect(help.code).toBe(0)
    expect(help.out).toContain(`Example:\n  $ ecokit ${command}`)
    expect(help.out).toContain('--json')
    expect(help.out).toContain('--file')
  }
})

test('help needs neither a store, nor a server, nor a database', async () => {
  const { ended } = start(folder, ['--help'], { NODE_DEBUG: 'esm,module' })
  const { err } = await ended
  expect(err).toContain('commander')
  for (const heavy of ['zod', 'kysely', 'hono', 'undici', 'duckdb', 'connector-mlflow'])
    expect(err).not.toContain(heavy)
})

const wrong: [string[], string][] = [
  [['bogus'], "unknown command 'bogus'"],
  [['read', 'files'], "missing required argument 'stream'"],
  [['read', 'files', 'things', '--format', 'xml'], 'Allowed choices are table, ndjson, csv'],
  [['read', 'files', 'things', '--limit', '-1'], 'the limit is a whole number'],
  [['up', '--port', '70000'], 'a port is at most 65535'],
  [['check', '--bogus'], "unknown option '--bogus'"],
  [['connectors', 'nothing'], 'there is no connector nothing'],
  [['check', '--file', 'other.yaml'], 'other.yaml'],
]
const unknown: [string[], string][] = [
  [['check', 'nobody'], 'there is no partner nobody. Choose from: files, lake'],
  [['read', 'nobody', 'things'], 'there is no partner `nobody`'],
  [['sync', 'nothing'], 'there is no pipeline nothing in ecosystem.yaml. Choose from: files-to-lake'],
  [['call', 'files', 'runs.search'], 'files: there is no operation runs.search'],
  [['run', 'nothing'], 'there is no run nothing'],
]
test.each([...wrong.map((one) => [...one, inProcess] as const), ...unknown.map((one) => [...one, quick] as const)])(
  '%s is a wrong use: exit 2, one line, no stack',
  async (args, message, run) => {
    const { code, out, err } = await run(...args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain(message)
    expect(err).not.toMatch(/^\s+at /m)
  },
)

test('check: a table, JSON, and exit 0 while all is well', async () => {
  const { code, out } = await ecokit(folder, 'check')
  expect(code).toBe(0)
  expect(out).toMatch(/^PARTNER\s+STATUS\s+LATENCY\s+VERSION\s+REASON\nfiles\s+healthy\s.*\nlake\s+healthy\s.*\n$/)
  const json = await ecokit(folder, 'check', 'lake', '--json')
  expect(JSON.parse(json.out)).toMatchObject([{ name: 'lake', status: 'healthy' }])
})

test('partners: what the last check saw', async () => {
  await quick('check')
  const { code, out } = await quick('partners', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject([
    { name: 'files', connector: 'local', tier: 'community', origin: 'file', health: { status: 'healthy' } },
    { name: 'lake' },
  ])
  expect((await quick('partners')).out).toMatch(/^PARTNER .*\nfiles +local +community +healthy +.* ago +file\n/)
})

test('connectors: the list, one of them, JSON', async () => {
  expect((await ecokit(folder, 'connectors')).out).toMatch(
    /^CONNECTOR .*\nmlflow .*\nlocal .*\npostgres .*\nhttp-sink .*\n$/,
  )
  const one = await quick('connectors', 'mlflow')
  expect(one.out).toContain('trackingUri: string, required')
  expect(one.out).toMatch(/runs\.search +read +many/)
  const list = JSON.parse((await quick('connectors', '--json')).out) as { id: string }[]
  expect(list.map(({ id }) => id)).toEqual(['mlflow', 'local', 'postgres', 'http-sink'])
  expect(JSON.parse((await quick('connectors', 'local', '--json')).out)).toMatchObject({
    id: 'local',
    discovers: true,
  })
})

test('read: every format holds every value', async () => {
  const table = await ecokit(folder, 'read', 'files', 'things', '--limit', '2')
  expect(table.out.split('\n')[0]).toMatch(/^id +big +name +text$/)
  expect(table.out.split('\n')[1]).toMatch(/^ 0 +9007199254740993 +row, 0 +x+$/)
  const csv = await quick('read', 'files', 'things', '--format', 'csv')
  expect(csv.out.split('\n').slice(0, 2)).toEqual(['id,big,name,text', `0,9007199254740993,"row, 0",${'x'.repeat(40)}`])
  expect(csv.out.trimEnd().split('\n').length).toBe(201)
  const ndjson = await quick('read', 'files', 'things', '--format', 'ndjson')
  expect(ndjson.out).toBe(rows(200))
  const json = await quick('read', 'files', 'things', '--json', '--limit', '3')
  expect(JSON.parse(json.out)).toHaveLength(3)
  expect((await quick('read', 'files', 'things', '--json', '--limit', '0')).out).toBe('[]\n')
  const short = await quick('read', 'files', 'things')
  expect([short.code, short.out.trimEnd().split('\n').length]).toEqual([0, 101])
  expect(short.err).toContain('the first 100 rows')
})

test('a reader that has had enough is no fault', async () => {
  await writeFile(join(folder, 'files', 'many.ndjson'), rows(100_000))
  const { child, so, ended } = start(folder, ['read', 'files', 'many', '--format', 'ndjson'])
  await until(() => (so.out.length > 1000 ? true : undefined))
  child.stdout!.destroy()
  const { code, err } = await ended
  expect([code, err]).toEqual([0, ''])
})

test('sync, runs and run: progress, a table per stream, JSON', async () => {
  await writeFile(join(folder, 'files', 'many.ndjson'), rows(10))
  const first = await ecokit(folder, 'sync', 'files-to-lake')
  expect(first.code).toBe(0)
  expect(first.out).toMatch(/^STREAM +STATUS +PASS +READ .*\n/)
  expect(first.out).toMatch(/\nthings +completed +full_refresh +200 +200 +0 /)
  expect(first.err).toMatch(/^things: completed {2}200 read {2}200 written/m)
  expect(first.err).toContain('files-to-lake completed in ')
  const second = await ecokit(folder, 'sync', 'files-to-lake', '--json', '--full')
  const run = JSON.parse(second.out) as Run
  expect(run).toMatchObject({ pipeline: 'files-to-lake', status: 'completed', trigger: 'manual', full: true })
  expect(run.streams.find(({ stream }) => stream === 'things')).toMatchObject({ read: 200, expected: 200 })
  const listed = JSON.parse((await quick('runs', '--json', '--limit', '2')).out) as Run[]
  expect(listed.map(({ status }) => status)).toEqual(['completed', 'completed'])
  const { streams: _each, ...summary } = run
  expect(listed[0]).toEqual(summary)
  expect((await quick('runs', 'other')).err).toContain('there is no pipeline other')
  expect((await quick('runs')).out).toContain(`${run.id}  files-to-lake  completed`)
  for (const id of [run.id, 'latest'])
    expect(JSON.parse((await quick('run', id, '--json')).out)).toMatchObject({ ...run, quality: [] })
  const shown = await quick('run', run.id)
  expect(shown.out).toMatch(/^files-to-lake {2}completed {2}files → lake\.tables\n/)
  expect((await quick('run', run.id.slice(0, 3))).err).toContain('runs begin with')
  const read = await quick('read', 'lake', 'things', '--json')
  expect(JSON.parse(read.out)).toHaveLength(200)
})

test('colours are for terminals, and for those who ask', async () => {
  const escape = '\u001b['
  expect((await ecokit(folder, 'check')).out).not.toContain(escape)
  expect((await start(folder, ['check'], { FORCE_COLOR: '1' }).ended).out).toContain(`${escape}32mhealthy`)
  expect((await start(folder, ['check'], { NO_COLOR: '1' }).ended).out).not.toContain(escape)
})

test('schema: the JSON Schema of the file, for the connectors at hand', async () => {
  const schema = JSON.parse((await quick('schema')).out) as { properties: object; definitions: object }
  expect(Object.keys(schema.properties)).toContain('partners')
  expect(Object.keys(schema.definitions)).toContain('mlflow-config')
})

test('init: a sample that its own check accepts; it overwrites nothing', async () => {
  const other = await openFolder()
  const { code, out } = await ecokit(other.folder, 'init')
  expect([code, out.includes('ecokit check')]).toEqual([0, true])
  const file = join(other.folder, 'ecosystem.yaml')
  const text = await readFile(file, 'utf8')
  expect(parseEcosystem(text, { connectors: await loadConnectors() }).problems).toEqual([])
  expect(
    parseEcosystem(
      text
        .replaceAll(/^# (credentials| {2})/gm, '$1')
        .replace('# credentials: mlflow-token ', 'credentials: mlflow-token '),
      { connectors: await loadConnectors() },
    ).problems,
  ).toEqual([])
  expect(await readFile(join(other.folder, '.gitignore'), 'utf8')).toBe('.ecokit/\n')
  const again = await ecokit(other.folder, 'init')
  expect([again.code, again.err]).toEqual([
    2,
    'error: ecosystem.yaml is there already. Remove it, or write another with --file\n',
  ])
  await writeFile(join(other.folder, '.gitignore'), 'node_modules')
  expect((await ecokit(other.folder, 'init', '--file', 'second.yaml', '--json')).code).toBe(0)
  expect((await ecokit(other.folder, 'init', '--file', 'third.yaml')).out).toContain('ecokit up --file third.yaml')
  // The same name in another folder still has to be named.
  await mkdir(join(other.folder, 'deeper'))
  const deeper = join(other.folder, 'deeper', 'ecosystem.yaml')
  expect((await ecokit(other.folder, 'init', '--file', deeper)).out).toContain(`ecokit up --file ${deeper}`)
  expect(await readFile(join(other.folder, '.gitignore'), 'utf8')).toBe('node_modules\n.ecokit/\n')
  expect((await ecokit(other.folder, 'init', '--file', 'no/such/folder.yaml')).code).toBe(2)
  await other.remove()
})

test('a partner that does not answer: exit 1, named with its reason', async () => {
  const other = await openFolder()
  await writeFile(
    join(other.folder, 'ecosystem.yaml'),
    `version: 1
partners:
  prod: { connector: mlflow, config: { trackingUri: 'http://127.0.0.1:9' } }
  lake: { connector: local, config: { database: lake.duckdb } }
pipelines: { down: { source: prod, sink: lake } }
`,
  )
  const { code, out } = await ecokit(other.folder, 'check')
  expect(code).toBe(1)
  expect(out).toMatch(/\nprod +unhealthy .* unavailable\nprod: .+\n$/)
  const json = JSON.parse((await ecokit(other.folder, 'check', 'prod', '--json')).out) as object[]
  expect(json).toMatchObject([{ name: 'prod', status: 'unhealthy', code: 'unavailable' }])
  const sync = await ecokit(other.folder, 'sync', 'down')
  expect(sync.code).toBe(1)
  expect(sync.err).toMatch(/error: down failed after .*: prod: .*/)
  const read = await ecokit(other.folder, 'read', 'prod', 'runs')
  expect([read.code, read.err.startsWith('error: prod: ')]).toEqual([1, true])
  await other.remove()
})

test('a mistyped file is refused with place, field and words', async () => {
  const other = await openFolder()
  const file = join(other.folder, 'ecosystem.yaml')
  await writeFile(file, 'version: 1\npartners:\n  lake:\n    connector: local\n    config: { databse: lake.duckdb }\n')
  const { problems } = parseEcosystem(await readFile(file, 'utf8'), { connectors: await loadConnectors() })
  expect(problems.length).toBeGreaterThan(0)
  for (const command of [['check'], ['up']]) {
    const { code, err } = await ecokit(other.folder, ...command)
    expect(code).toBe(2)
    expect(err.split('\n').length).toBe(problems.length + 1)
    for (const { field, message, line, column } of problems)
      expect(err).toContain(`ecosystem.yaml:${line}:${column} ${field}: ${message}`)
  }
  await other.remove()
})

test('a secret comes from the environment, and nothing shows it', async () => {
  const other = await openFolder()
  await writeFile(
    join(other.folder, 'ecosystem.yaml'),
    `version: 1
partners:
  prod:
    connector: mlflow
    config: { trackingUri: 'http://127.0.0.1:9' }
    credentials: { scheme: token, token: '\${env:PROD_TOKEN}' }
`,
  )
  const without = await ecokit(other.folder, 'read', 'prod', 'runs')
  expect(without.code).toBe(2)
  expect(without.err).toContain('PROD_TOKEN')
  for (const args of [['check'], ['check', '--json'], ['partners', '--json'], ['read', 'prod', 'runs']]) {
    const { code, out, err } = await start(other.folder, args, { PROD_TOKEN: 'canary-4711', ECOKIT_DEBUG: '1' }).ended
    expect(code).toBe(args[0] === 'partners' ? 0 : 1)
    expect(out + err).not.toContain('canary-4711')
  }
  await other.remove()
})

test('up: prints the link once, leaves server.json and token, and ends at SIGTERM', async () => {
  const { child, so, ended } = start(folder, ['up'])
  const link = await until(() => /Console: (\S+)\n/.exec(so.out)?.[1])
  const state = join(folder, '.ecokit')
  const token = (await readFile(join(state, 'token'), 'utf8')).trim()
  const { url, pid } = JSON.parse(await readFile(join(state, 'server.json'), 'utf8')) as { url: string; pid: number }
  expect([link, pid]).toEqual([`${url}/?token=${token}`, child.pid])
  // Windows keeps no such bits.
  const mode = process.platform === 'win32' ? 0o600 : (await stat(join(state, 'token'))).mode & 0o777
  expect(mode).toBe(0o600)
  const reply = await fetch(`${url}/api/summary`, { headers: { authorization: `Bearer ${token}` } })
  expect(reply.status).toBe(200)
  expect((await fetch(`${url}/api/summary`)).status).toBe(401)
  child.kill('SIGTERM')
  const { code, out } = await ended
  expect(code).toBe(0)
  expect(out.split(token).length).toBe(2)
  await expect(stat(join(state, 'server.json'))).rejects.toThrow()

  const again = start(folder, ['up', '--json'])
  const said = JSON.parse(await until(() => (again.so.out.endsWith('\n') ? again.so.out : undefined))) as {
    link: string
  }
  expect(said.link).toContain(token)
  again.child.kill('SIGINT')
  expect((await again.ended).code).toBe(0)
})

test('up: says at once who was unhealthy before, which is no change that it would tell later', async () => {
  const other = await openFolder()
  await writeFile(
    join(other.folder, 'ecosystem.yaml'),
    "version: 1\npartners:\n  prod: { connector: mlflow, config: { trackingUri: 'http://127.0.0.1:9' } }\nserver: { port: 0 }\n",
  )
  expect((await ecokit(other.folder, 'check')).code).toBe(1)
  const { child, so, ended } = start(other.folder, ['up'])
  await until(() => (so.out.includes('Console: ') ? true : undefined))
  expect(so.err).toContain('prod was unhealthy when it was last checked (prod: ')
  child.kill('SIGTERM')
  expect((await ended).code).toBe(0)
  await other.remove()
})

test('up: a signal that comes twice, even while it closes, leaves nothing behind', async () => {
  const { child, so, ended } = start(folder, ['up'])
  await until(() => (so.out.includes('Console: ') ? true : undefined))
  child.kill('SIGINT')
  // Only while it still has something to take away: a process that is being torn down dies of any signal.
  const state = join(folder, '.ecokit', 'server.json')
  while (child.exitCode === null && child.signalCode === null && existsSync(state)) {
    child.kill('SIGTERM')
    await new Promise((wake) => setTimeout(wake, 1))
  }
  await ended
  expect(existsSync(state)).toBe(false)
})

test('up: a port that is taken is said so', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  const port = await until(() => (server.address() as AddressInfo | null)?.port)
  const { code, err } = await ecokit(folder, 'up', '--port', String(port))
  expect(code).toBe(1)
  expect(err).toContain(`error: port ${port} of 127.0.0.1 is in use by another program. Stop that program`)
  server.close()
})

test('Ctrl-C cancels a sync, and the next one brings everything', async () => {
  await writeFile(join(folder, 'files', 'large.ndjson'), rows(150_000))
  const { child, so, ended } = start(folder, ['sync', 'files-to-lake'])
  await until(() => (so.err.includes('large: full_refresh') ? true : undefined))
  child.kill('SIGINT')
  const { code, err } = await ended
  expect(code).toBe(1)
  expect(err).toContain('files-to-lake cancelled after ')
  const [run] = JSON.parse((await ecokit(folder, 'runs', '--json', '--limit', '1')).out) as Run[]
  expect(run!.status).toBe('cancelled')
})

test('kill -9 in the middle of a sync, then sync again: nothing lost, nothing doubled', async () => {
  const { child, so, ended } = start(folder, ['sync', 'files-to-lake'])
  await until(() => (so.err.includes('large: full_refresh') ? true : undefined))
  child.kill('SIGKILL')
  await ended
  const again = await ecokit(folder, 'sync', 'files-to-lake', '--json')
  expect([again.code, (JSON.parse(again.out) as Run).status]).toEqual([0, 'completed'])
  const [, dead] = JSON.parse((await ecokit(folder, 'runs', '--json', '--limit', '2')).out) as Run[]
  expect(dead!.status).toBe('failed')
  const { out } = await ecokit(folder, 'read', 'lake', 'large', '--format', 'csv')
  const ids = out
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => Number(line.split(',')[0]))
  expect(ids.length).toBe(150_000)
  expect(new Set(ids).size).toBe(150_000)
})
