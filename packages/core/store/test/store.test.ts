import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { openShared, openStore, type NewRow, type Store } from '../src/index.ts'

const temporaryFolder = async (): Promise<string> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-store-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}
const opened = async (file = ':memory:', now?: () => number): Promise<Store> => {
  const store = await openStore(file, now && { now })
  onTestFinished(() => store.close())
  return store
}
const check = (partner: string): NewRow<'health_checks'> => ({
  partner,
  status: 'healthy',
  checked_at: Date.now(),
  details: '{}',
})
const aRun: NewRow<'runs'> = {
  id: 'one',
  pipeline: 'p',
  source: 'a',
  sink: 'b',
  trigger: 'manual',
  full: 0,
  status: 'running',
  started_at: 1,
  heartbeat_at: 1,
  updated_at: 1,
  holder: 'me',
  warnings: '[]',
}
const aRecord: NewRow<'quarantine'> = {
  run_id: 'one',
  pipeline: 'p',
  stream: 's',
  field: 'f',
  reason: 'r',
  record: '{}',
  at: 1,
}

test('what is written is there after the store was closed and opened again', async () => {
  const file = path.join(await temporaryFolder(), 'missing', 'folders', 'state.db')
  const store = await openStore(file)
  const at = Date.now()
  await store.db
    .insertInto('runs')
    .values({ ...aRun, started_at: at })
    .execute()
  await store.close()
  const again = await opened(file)
  expect(await again.db.selectFrom('runs').select(['id', 'started_at']).execute()).toEqual([
    { id: 'one', started_at: at },
  ])
  expect((await stat(file)).mode & 0o777).toBe(process.platform === 'win32' ? 0o666 : 0o600)
})

test('a commit reaches the disk, and foreign keys hold', async () => {
  const { db } = await opened(path.join(await temporaryFolder(), 'state.db'))
  const pragma = async (name: string): Promise<unknown[]> => {
    const { rows } = await sql.raw<Readonly<Record<string, unknown>>>(`PRAGMA ${name}`).execute(db)
    return Object.values(rows[0] ?? {})
  }
  expect(await pragma('journal_mode')).toEqual(['wal'])
  expect(await pragma('synchronous')).toEqual([2])
  await expect(db.insertInto('quarantine').values(aRecord).execute()).rejects.toMatchObject({ code: 'conflict' })
  await db.insertInto('runs').values(aRun).execute()
  await db.insertInto('quarantine').values(aRecord).execute()
  await expect(db.insertInto('runs').values(aRun).execute()).rejects.toMatchObject({ code: 'conflict' })
  await db.deleteFrom('runs').execute()
  expect(await db.selectFrom('quarantine').selectAll().execute()).toEqual([])
})

test('a writer waits for another connection of the same process without stopping it', async () => {
  const file = path.join(await temporaryFolder(), 'state.db')
  const [one, other] = [await opened(file), await opened(file)]
  const order: string[] = []
  let waiting: Promise<void> | undefined
  await one.db.transaction().execute(async (transaction) => {
    await transaction.insertInto('health_checks').values(check('a')).execute()
    waiting = other.db
      .insertInto('health_checks')
      .values(check('b'))
      .execute()
      .then(() => void order.push('other'))
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    order.push('one')
  })
  await waiting
  expect(order).toEqual(['one', 'other'])
  expect(await one.db.selectFrom('health_checks').select('partner').orderBy('id').execute()).toEqual([
    { partner: 'a' },
    { partner: 'b' },
  ])
})

test('a transaction that fails leaves nothing, and the next one works', async () => {
  const { db } = await opened()
  const failing = db.transaction().execute(async (transaction) => {
    await transaction.insertInto('health_checks').values(check('a')).execute()
    throw new Error('changed my mind')
  })
  await expect(failing).rejects.toThrow('changed my mind')
  await db.transaction().execute(async (transaction) => {
    await transaction.insertInto('health_checks').values(check('b')).execute()
  })
  expect(await db.selectFrom('health_checks').select('partner').execute()).toEqual([{ partner: 'b' }])
})

test('a statement that was kept still fits after the table has changed', async () => {
  const { db } = await opened()
  const all = () => db.selectFrom('leases').selectAll().execute()
  expect(await all()).toEqual([])
  await db.schema
    .alterTable('leases')
    .addColumn('note', 'text', (column) => column.defaultTo('new'))
    .execute()
  await db.insertInto('leases').values({ name: 'a', holder: 'b', expires_at: 1 }).execute()
  expect(await all()).toEqual([{ name: 'a', holder: 'b', expires_at: 1, taken_at: 0, note: 'new' }])
})

test('more statements than are kept do no harm, and a result can be read row by row while others run', async () => {
  const { db } = await opened()
  await db
    .insertInto('health_checks')
    .values([check('a'), check('b'), check('c')])
    .execute()
  for (let index = 0; index < 1_200; index += 1) await sql.raw(`SELECT ${index}`).execute(db)
  const query = db.selectFrom('health_checks').select('partner').orderBy('id')
  const seen: string[] = []
  for await (const { partner } of query.stream()) seen.push(partner)
  expect(seen).toEqual(['a', 'b', 'c'])
  const { numInsertedOrUpdatedRows, insertId } = await db
    .insertInto('health_checks')
    .values(check('d'))
    .executeTakeFirstOrThrow()
  expect([numInsertedOrUpdatedRows, insertId]).toEqual([1n, 4n])
})

test('a lease belongs to one holder until it is given back or runs out', async () => {
  let clock = 1_000
  const store = await opened(':memory:', () => clock)
  expect(await store.lease('job', 'a', 100)).toBe(true)
  expect(await store.lease('job', 'b', 100)).toBe(false)
  expect(await store.lease('job', 'a', 200)).toBe(true)
  expect(await store.leaseHolder('job')).toBe('a')
  clock = 1_199
  expect(await store.lease('job', 'b', 100)).toBe(false)
  expect(await store.renew('job', 'b', 100)).toBe(false)
  expect(await store.renew('job', 'a', 100)).toBe(true)
  clock = 1_299
  expect(await store.leaseHolder('job')).toBeUndefined()
  expect(await store.lease('job', 'b', 100)).toBe(true)
  expect(await store.renew('job', 'a', 100)).toBe(false)
  await store.release('job', 'a')
  expect(await store.leaseHolder('job')).toBe('b')
  await store.release('job', 'b')
  expect(await store.leaseHolder('job')).toBeUndefined()
  expect(await store.lease('other', 'a', 100)).toBe(true)
})

test('three processes make, fill and share one file', async () => {
  const file = path.join(await temporaryFolder(), 'state.db')
  const worker = fileURLToPath(new URL('worker.ts', import.meta.url))
  const rows = 60
  const names = ['one', 'two', 'three']
  const ends = names.map(async (name) => {
    const child = spawn(process.execPath, [worker, file, name, String(rows)], { stdio: ['ignore', 'inherit', 'pipe'] })
    let said = ''
    child.stderr.on('data', (text: Buffer) => (said += text.toString()))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, said }
  })
  expect(await Promise.all(ends)).toEqual(names.map(() => ({ code: 0, said: '' })))
  const { db } = await opened(file)
  const counted = await db
    .selectFrom('health_checks')
    .select(({ fn }) => ['partner', fn.countAll<number>().as('count')])
    .groupBy('partner')
    .orderBy('partner')
    .execute()
  expect(counted).toEqual([...names].sort().map((partner) => ({ partner, count: rows })))
  expect(await db.selectFrom('flow_state').select('counts').execute()).toEqual([
    { counts: String(names.length * rows) },
  ])
  expect((await sql<{ integrity_check: string }>`PRAGMA integrity_check`.execute(db)).rows).toEqual([
    { integrity_check: 'ok' },
  ])
}, 60_000)

test('a database of a newer version is refused and left as it is', async () => {
  const file = path.join(await temporaryFolder(), 'state.db')
  const store = await openStore(file)
  await sql`INSERT INTO kysely_migration VALUES ('999-from-the-future', ${new Date().toISOString()})`.execute(store.db)
  await store.close()
  const before = await readFile(file)
  await expect(openStore(file)).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringMatching(/state\.db was written by a newer version of this program\. Update/) as string,
  })
  expect((await readFile(file)).equals(before)).toBe(true)
})

test('a statement that no database would take is a fault of ours, and not damage', async () => {
  const { db } = await opened()
  const ids = Array.from({ length: 40_000 }, (_, at) => String(at))
  await expect(db.selectFrom('runs').selectAll().where('id', 'in', ids).execute()).rejects.toMatchObject({
    code: 'internal',
    message: expect.stringContaining('too many SQL variables') as string,
  })
  await expect(sql`SELEC 1`.execute(db)).rejects.toMatchObject({ code: 'internal' })
  await expect(sql`COMMIT`.execute(db)).rejects.toMatchObject({ code: 'internal' })
})

test.each([
  ['a time', `UPDATE kysely_migration SET timestamp = '2026-11-22T13:12z56.267Z' WHERE name = '004-vault'`],
  ['an order', `UPDATE kysely_migration SET timestamp = '2036-11-22T13:12:56.267Z' WHERE name = '006-flow'`],
  ['a table', 'ALTER TABLE leases RENAME COLUMN holder TO holdes'],
])('what a changed bit makes of %s is told as damage', async (_what, change) => {
  const file = path.join(await temporaryFolder(), 'state.db')
  await (await openStore(file)).close()
  const database = new DatabaseSync(file)
  database.exec(change)
  database.close()
  const used = async () => {
    const store = await openStore(file)
    try {
      await store.leaseHolder('x')
    } finally {
      await store.close()
    }
  }
  await expect(used()).rejects.toMatchObject({
    code: 'unavailable',
    retryable: false,
    message: expect.stringMatching(
      /state\.db does not hold what this version expects: .*It is damaged, or of/,
    ) as string,
  })
})

test('a file that is not a database, one that is cut off and a folder are refused, and left as they are', async () => {
  const folder = await temporaryFolder()
  const file = path.join(folder, 'state.db')
  await writeFile(file, 'partners:\n  mlflow:\n'.repeat(100))
  await expect(openStore(file)).rejects.toMatchObject({
    code: 'unavailable',
    retryable: false,
    details: { cause: 'SQLITE_NOTADB' },
    message: expect.stringMatching(
      /^the state database .*state\.db is not a SQLite database\. Move the file away/,
    ) as string,
  })
  expect(await readFile(file, 'utf8')).toMatch(/^partners:/)
  const cut = path.join(folder, 'cut.db')
  await (await openStore(cut)).close()
  await truncate(cut, 20_000)
  await expect(openStore(cut)).rejects.toMatchObject({ details: { cause: 'SQLITE_CORRUPT' } })
  await expect(openStore(folder)).rejects.toMatchObject({ code: 'unavailable', details: { cause: 'EISDIR' } })
  await expect(openStore(path.join(file, 'state.db'))).rejects.toMatchObject({ code: 'unavailable' })
})

test('damage inside the file is told by the query that meets it', async () => {
  const file = path.join(await temporaryFolder(), 'state.db')
  const first = await openStore(file)
  await first.db.insertInto('runs').values(aRun).execute()
  const { rows } = await sql<{ rootpage: number }>`SELECT rootpage FROM sqlite_schema WHERE name = 'runs'`.execute(
    first.db,
  )
  await first.close()
  const handle = await open(file, 'r+')
  await handle.write(Buffer.alloc(4096, 0xff), 0, 4096, ((rows[0]?.rootpage ?? 0) - 1) * 4096)
  await handle.close()
  const { db } = await opened(file)
  await expect(db.selectFrom('runs').selectAll().execute()).rejects.toMatchObject({
    code: 'unavailable',
    details: { cause: 'SQLITE_CORRUPT' },
  })
})

test('a name of its own schema that came back as another is told as damage', async () => {
  const file = path.join(await temporaryFolder(), 'state.db')
  const first = await openStore(file)
  await sql`ALTER TABLE runs RENAME COLUMN updated_at TO updated_au`.execute(first.db)
  await first.close()
  const { db } = await opened(file)
  await expect(db.insertInto('runs').values(aRun).execute()).rejects.toMatchObject({
    code: 'unavailable',
    retryable: false,
    message: expect.stringMatching(/updated_at.*put a backup in its place/) as string,
  })
})

test('a full disk is told as such, and goes away', async () => {
  const { db } = await opened(path.join(await temporaryFolder(), 'state.db'))
  const { rows } = await sql<{ page_count: number }>`PRAGMA page_count`.execute(db)
  await sql.raw(`PRAGMA max_page_count = ${rows[0]?.page_count ?? 0}`).execute(db)
  const large = db.insertInto('runs').values({ ...aRun, error_message: 'x'.repeat(50_000) })
  await expect(large.execute()).rejects.toMatchObject({
    code: 'unavailable',
    retryable: true,
    details: { cause: 'SQLITE_FULL' },
    message: expect.stringMatching(/the disk is full\. Free some space/) as string,
  })
  await sql.raw('PRAGMA max_page_count = 100000').execute(db)
  await large.execute()
})

test('a store that is closed says so', async () => {
  const store = await openStore(':memory:')
  await store.close()
  await store.close()
  await expect(store.leaseHolder('a')).rejects.toThrow(/destroyed/)
})

test('a full disk is told as such, and takes nothing of what was written before', async () => {
  const store = await opened(path.join(await temporaryFolder(), 'state.db'))
  const shared = openShared(store)
  await shared.put('before', 'stays')
  const { rows } = await sql<{ page_count: number }>`PRAGMA page_count`.execute(store.db)
  await sql`PRAGMA max_page_count = ${sql.lit((rows[0]?.page_count ?? 0) + 2)}`.execute(store.db)
  await expect(shared.put('large', 'x'.repeat(100_000))).rejects.toMatchObject({
    code: 'unavailable',
    retryable: true,
    details: { cause: 'SQLITE_FULL' },
    message: expect.stringContaining('Free some space') as string,
  })
  expect(await shared.get('before')).toMatchObject({ value: 'stays' })
  expect(await shared.get('large')).toBeUndefined()
  expect(await shared.put('after', 'fits')).toBe(true)
})
