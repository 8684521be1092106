// A process of its own that the tests kill: `node child.ts <what> <sink> <place>`; `csv/parted`: into folders by page. It goes on from where the sink says that it stopped.
import { randomBytes } from 'node:crypto'
import type { AnyRecord, Batch } from '@ecokit/contracts'
import { writeFolder } from '../src/folder/write.ts'
import { connect, local } from '../src/index.ts'
import { errorOf, pageRecords, pagesOfPass, table, writing } from './pages.ts'

const [what = '', given = '', place = ''] = process.argv.slice(2)
const [sink = '', parted] = given.split('/')
const connection = connect(local, { name: 'lake', config: sink === 'tables' ? { database: place } : { folder: place } })
const say = (line: string) => process.stdout.write(`${line}\n`)
// Small parts, so that a kill meets segments that are being converted; one that is filled until it finds no space has no end.
const write = (options: Parameters<typeof connection.write>[1]) =>
  sink === 'tables'
    ? connection.write(sink, options)
    : writeFolder(
        {
          folder: place,
          format: sink as 'parquet',
          partner: 'lake',
          partBytes: what === 'fill' ? undefined : 20_000,
          partitionBy: parted === undefined ? undefined : { [table.name]: ['page'] },
        },
        options,
      )
/** Two of three pages come as proven lines, the others as records. */
const batchOf = (page: number, rows: readonly AnyRecord[]): Batch<AnyRecord> =>
  page % 3 === 0
    ? { encoding: 'records', records: rows }
    : {
        encoding: 'ndjson',
        proven: true,
        bytes: Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join('')),
        count: rows.length,
      }

const append = async (disposition: 'append' | 'merge') => {
  const writer = await write({ ...writing, table, disposition })
  let page = Number((await writer.resumesFrom())?.['page'] ?? 0)
  say('ready')
  for (;;) {
    page += 1
    await writer.write(batchOf(page, pageRecords(page, disposition)))
    await writer.commit({ page })
  }
}
const overwrite = async (prune: boolean) => {
  for (let first = true; ; first = false) {
    const writer = await write({
      ...writing,
      table,
      disposition: prune ? 'merge' : 'overwrite',
      ...(prune && { prune }),
    })
    const last = await writer.resumesFrom()
    const from = last?.['page'] === pagesOfPass ? undefined : last
    const pass = Number(from?.['pass'] ?? process.hrtime.bigint() % 1_000_000_007n)
    if (first) say('ready')
    for (let page = Number(from?.['page'] ?? 0) + 1; page <= pagesOfPass; page += 1) {
      const records = pageRecords(page, 'append').map((record) => ({ ...record, pass, id: `${pass % 3}-${record.id}` }))
      await writer.write(batchOf(page, records))
      await writer.commit({ pass, page }, { final: page === pagesOfPass })
    }
    await writer[Symbol.asyncDispose]()
  }
}
/** Larger and larger pages, which no compression makes smaller, until something fails. */
const fill = async () => {
  const writer = await write({ ...writing, table, disposition: 'append' })
  say('ready')
  try {
    for (let page = 1; ; page += 1) {
      const records = pageRecords(page, 'append').map((record) => ({
        ...record,
        text: randomBytes(page * 1000).toString('base64'),
      }))
      await writer.write(batchOf(page, records))
      await writer.commit({ page })
    }
  } catch (thrown) {
    say(JSON.stringify(errorOf(thrown)))
  }
  await writer[Symbol.asyncDispose]()
  // The same process goes on with what was committed.
  let rows = 0
  for await (const batch of connection.read(table.name)) if (batch.encoding === 'records') rows += batch.records.length
  say(String(rows))
}
const hold = async () => {
  const writer = await write({ ...writing, table, disposition: 'append' })
  say('ready')
  await new Promise((resolve) => process.stdin.once('data', resolve))
  await writer.write({ encoding: 'records', records: pageRecords(1, 'append') })
  await writer.commit({ page: 1 })
  await writer[Symbol.asyncDispose]()
}

try {
  if (what === 'append' || what === 'merge') await append(what)
  else if (what === 'fill') await fill()
  else if (what === 'hold') await hold()
  else await overwrite(what === 'prune')
} catch (thrown) {
  say(JSON.stringify(errorOf(thrown)))
}
await connection.close()
process.exit(0)
