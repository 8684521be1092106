/** One of several processes that use the same store: opens it, adds its share of rows one by one, and counts up under a lease. */
import { openStore } from '../src/index.ts'

const [file = '', name = '', rows = '0'] = process.argv.slice(2)
const store = await openStore(file)
for (let index = 0; index < Number(rows); index += 1) {
  await store.db
    .insertInto('health_checks')
    .values({ partner: name, status: 'healthy', checked_at: index, details: '{}' })
    .execute()
  while (!(await store.lease('counter', name, 60_000))) await new Promise((resolve) => setTimeout(resolve, 1))
  // Read, wait, write: two that are in here at once would lose one of the counts.
  const row = await store.db.selectFrom('flow_state').select('counts').where('key', '=', 'counter').executeTakeFirst()
  await new Promise((resolve) => setImmediate(resolve))
  const counts = String(Number(row?.counts ?? 0) + 1)
  await store.db
    .insertInto('flow_state')
    .values({ key: 'counter', complete: 0, counts, updated_at: 0 })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ counts }))
    .execute()
  await store.release('counter', name)
}
await store.close()
