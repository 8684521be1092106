// A process of its own that the tests kill: `node child.ts <disposition> <place>`. It goes on from where the sink says that it stopped.
import { connect, postgres } from '../src/index.ts'
import { pageRecords, pagesOfPass, table, writing } from './pages.ts'

const [what = '', place = '{}'] = process.argv.slice(2)
const { config, credentials } = JSON.parse(place) as {
  config: { host: string; port: number; database: string }
  credentials: { scheme: 'password'; username: string; password: string }
}
const connection = connect(postgres, { name: 'base', config, credentials })
const say = (line: string) => process.stdout.write(`${line}\n`)

const goOn = async (disposition: 'append' | 'merge') => {
  const writer = await connection.write('tables', { ...writing, table, disposition })
  let page = Number((await writer.resumesFrom())?.['page'] ?? 0)
  say('ready')
  for (;;) {
    page += 1
    const lines = pageRecords(page, disposition).map((record) => `${JSON.stringify(record)}\n`)
    await writer.write({
      encoding: 'ndjson',
      bytes: Buffer.from(lines.join('')),
      count: lines.length,
      proven: page % 2 === 0,
    })
    await writer.commit({ page })
    if (page % 10 === 0) say(String(page))
  }
}
const passes = async (prune: boolean) => {
  for (let first = true; ; first = false) {
    const writer = await connection.write('tables', {
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
      await writer.write({ encoding: 'records', records })
      await writer.commit({ pass, page }, { final: page === pagesOfPass })
    }
    await writer[Symbol.asyncDispose]()
  }
}
try {
  if (what === 'append' || what === 'merge') await goOn(what)
  else await passes(what === 'prune')
} catch (thrown) {
  const { code, message } = thrown as { code?: string; message: string }
  say(`failed ${code ?? ''} ${message}`)
}
process.exit(0)
