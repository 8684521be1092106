import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { openDatabase } from '../src/database.ts'
import { connect, local } from '../src/index.ts'
import { linesOf, startChild } from './children.ts'
import { pageRecords, table, writing } from './pages.ts'
import {
  open,
  openBoth,
  openLake,
  openWriter,
  put,
  readAll,
  records,
  sinks,
  table as described,
  temporaryFolder,
  writing as options,
} from './support.ts'

const small = described({ id: { type: 'integer' } }, ['id'])
const append = { ...writing, table, disposition: 'append' } as const

for (const sink of sinks)
  test(`${sink}: a writer in another process is waited for`, async () => {
    const place = path.join(await temporaryFolder(), 'lake')
    const child = startChild(['hold', sink, place])
    const next = linesOf(child)
    expect(await next()).toBe('ready')
    const connection = open(sink === 'tables' ? { database: place } : { folder: place })
    const mine = put(connection, append, pageRecords(2, 'append'), sink)
    child.stdin.write('go on\n')
    await mine
    expect((await readAll(connection, table.name)).map((row) => row['page'])).toEqual([
      ...pageRecords(1, 'append').map(() => 1),
      ...pageRecords(2, 'append').map(() => 2),
    ])
  })

test('a file that stays locked is a conflict that names the file and the process', async () => {
  const place = path.join(await temporaryFolder(), 'lake.duckdb')
  const child = startChild(['hold', 'tables', place])
  expect(await linesOf(child)()).toBe('ready')
  await expect(openDatabase(place, { partner: 'lake', waitMs: 50 })).rejects.toMatchObject({
    code: 'conflict',
    retryable: true,
    message: expect.stringMatching(`^lake: ${place} is held by process ${child.pid} `) as string,
  })
  const controller = new AbortController()
  const waiting = open({ database: place }).write?.('tables', { ...options(small), signal: controller.signal })
  controller.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
})

test('the file is free for another process as soon as the connection is closed', async () => {
  const { connection, database } = await openLake()
  await put(connection, options(small), [{ id: 1 }])
  await connection.close()
  const child = startChild(['append', 'tables', database])
  expect(await linesOf(child)()).toBe('ready')
})

test('the file is free a moment after its last use, without a close', async () => {
  const { connection, database } = await openLake()
  await put(connection, options(small), [{ id: 1 }])
  const child = startChild(['append', 'tables', database])
  expect(await linesOf(child)()).toBe('ready')
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(await readAll(connection)).toEqual([{ id: 1 }])
})

test('in one process many read and write at once, over any number of connections and names of the file', async () => {
  const { connection, database } = await openLake()
  const link = path.join(path.dirname(database), 'link.duckdb')
  await put(connection, options(small), [{ id: 0 }])
  await symlink(database, link)
  const others = [open({ database: link }), open({ database: path.relative(process.cwd(), database) })]
  await Promise.all(
    Array.from({ length: 12 }, async (_, index) => {
      const used = others[index % 2] ?? connection
      await put(used, options({ ...small, name: `t${index % 4}` }), [{ id: index }])
      expect(await readAll(used)).toEqual([{ id: 0 }])
    }),
  )
  for (let index = 0; index < 4; index += 1)
    expect((await readAll(connection, `t${index}`)).map((row) => row['id']).toSorted()).toEqual(
      [index, index + 4, index + 8].toSorted(),
    )
})

for (const sink of sinks)
  test(`${sink}: what is under way is brought to its end before a writer or the file is closed`, async () => {
    // DuckDB ends the process when a handle is closed in the middle of its work: a failure here is the end of the test run.
    const { connection } = await openBoth()
    const rows = Array.from({ length: 3000 }, (_, id) => ({ id }))
    for (let round = 0; round < 8; round += 1) {
      const writer = await openWriter(connection, options({ ...small, name: `t${round}` }), sink)
      const written = writer.write(records(...rows))
      const committed = writer.commit({ round }, { final: true })
      const disposed = writer[Symbol.asyncDispose]()
      await Promise.all([written, committed, disposed])
      const other = await openWriter(connection, options({ ...small, name: `u${round}` }), sink)
      const controller = new AbortController()
      const stopped = other.write(records(...rows), { signal: controller.signal }).catch((thrown: unknown) => thrown)
      controller.abort()
      await other[Symbol.asyncDispose]()
      expect(await stopped).toBeDefined()
      expect(await readAll(connection, `t${round}`)).toEqual(rows)
    }
    await Promise.all([connection.close(), connection.close()])
  })

test('opening and closing again and again, at once, does no harm', async () => {
  const { database } = await openLake()
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (let round = 0; round < 10; round += 1) {
        const connection = connect(local, { name: 'lake', config: { database } })
        expect(await connection.check()).toMatchObject({ status: 'healthy' })
        await Promise.all([connection.close(), connection.close()])
      }
    }),
  )
})

test('a reader sees the table as it was when it began, whatever a writer commits meanwhile', async () => {
  const { connection } = await openLake()
  const wide = described({ id: { type: 'integer' }, text: { type: 'string' } })
  const rows = Array.from({ length: 6000 }, (_, id) => ({ id, text: 'x'.repeat(1000) }))
  await put(connection, options(wide), rows)
  let count = 0
  for await (const batch of connection.read?.('t') ?? []) {
    if (count === 0) await put(connection, options(wide, { disposition: 'overwrite' }), [{ id: -1, text: '' }])
    count += batch.encoding === 'records' ? batch.records.length : 0
  }
  expect(count).toBe(6000)
  expect(await readAll(connection)).toEqual([{ id: -1, text: '' }])
})

for (const sink of sinks)
  test(`${sink}: a full disk is an error that says so, and what was committed stays`, { timeout: 60_000 }, async () => {
    const place = path.join(await temporaryFolder(), 'lake')
    // Files of 2 MiB at most: enough to open, soon too little.
    const child = startChild(['fill', sink, place], 2048)
    const next = linesOf(child)
    expect(await next()).toBe('ready')
    expect(JSON.parse(await next())).toMatchObject({
      code: 'unavailable',
      details: { cause: expect.stringMatching(/^(?:ENOSPC|EFBIG)$/) as string },
      message: expect.stringContaining('what was committed is safe') as string,
    })
    const left = await next()
    await once(child, 'exit')
    const connection = open(sink === 'tables' ? { database: place } : { folder: place })
    const writer = await openWriter(connection, append, sink)
    const checkpoint = await writer.resumesFrom()
    await writer[Symbol.asyncDispose]()
    const pages = Number(checkpoint?.['page'] ?? 0)
    expect(Number(left)).toBe(pages * 40)
    expect(checkpoint === undefined ? [] : (await readAll(connection, table.name)).map((row) => row['page'])).toEqual(
      Array.from({ length: pages }, (_, index) => Array.from({ length: 40 }, () => index + 1)).flat(),
    )
    // And it goes on where there is space again.
    await put(connection, append, pageRecords(pages + 1, 'append'), sink)
    expect((await readAll(connection, table.name)).length).toBe((pages + 1) * 40)
  })

test('importing the connector loads neither DuckDB nor what works with it', () => {
  const index = fileURLToPath(new URL('../src/index.ts', import.meta.url))
  const script = `
    const { registerHooks } = await import('node:module')
    const seen = []
    registerHooks({ load: (url, context, next) => { seen.push(url); return next(url, context) } })
    const { local } = await import(${JSON.stringify(index)})
    console.log(JSON.stringify({ id: local.manifest.id, heavy: seen.filter((url) => /duckdb|tables\\/|folder\\//.test(url)) }))`
  expect(JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', script]).toString())).toEqual({
    id: 'local',
    heavy: [],
  })
})

test('paths that cannot be used are errors of the configuration', async () => {
  const folder = await temporaryFolder()
  const file = path.join(folder, 'text.csv')
  await put(open({ folder }), options(small), [{ id: 1 }], 'csv')
  await writeFile(file, 'not a database, but long enough to be looked at as one '.repeat(1000))
  expect(await open({ database: file }).check()).toMatchObject({ status: 'unhealthy', code: 'invalid_config' })
  expect(await open({ database: path.join(file, 'x.duckdb') }).check()).toMatchObject({
    status: 'unhealthy',
    code: 'invalid_config',
  })
  expect(await open({ folder: file }).check()).toMatchObject({ status: 'unhealthy', code: 'invalid_config' })
  expect(await open({ folder: path.join(folder, 'new', 'one') }).check()).toMatchObject({ status: 'healthy' })
  expect(await readdir(path.join(folder, 'new', 'one'))).toEqual([])
  await expect(openWriter(open({ folder }), options(small))).rejects.toMatchObject({
    code: 'invalid_config',
    details: { field: 'config.database' },
  })
  expect(() => open({})).toThrow('name a database file, a folder, or both')
})
