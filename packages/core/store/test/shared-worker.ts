/** One of several processes that share a store: `reserve <file> <rate> <turns>` prints when its turns may go, `hang <file> <ttl>` takes a lease and hangs in a transaction. */
import type { Rate } from '@ecokit/contracts'
import { openShared, openStore } from '../src/index.ts'

const [what, file = '', ...rest] = process.argv.slice(2)
let at = 0
const store = await openStore(file, { now: () => (at = Date.now()) })
const shared = openShared(store)
if (what === 'reserve') {
  const rate = JSON.parse(rest[0] ?? '') as Rate
  const turns: number[] = []
  for (let left = Number(rest[1]); left > 0; left--) {
    const wait = await shared.reserve('bucket', rate, 1, 60_000)
    turns.push(at + (wait ?? Infinity))
  }
  console.log(JSON.stringify(turns))
  await store.close()
} else {
  await shared.lease('job', 'worker', Number(rest[0]))
  await store.db.transaction().execute(async (transaction) => {
    await transaction.insertInto('shared_values').values({ key: 'half', value: 'x', version: 1 }).execute()
    console.log('mine, and writing')
    await new Promise((resolve) => setTimeout(resolve, 600_000))
  })
}
