/** One of several processes that write into the same log: one by one, and several together. */
import { openStore } from '@ecokit/store'
import { hmacSigner, openAudit } from '../src/index.ts'

const [file = '', actor = '', count = '0'] = process.argv.slice(2)
const store = await openStore(file)
const audit = await openAudit({ store, sign: hmacSigner(Buffer.alloc(32, 7), 'test'), headEvery: 8 })
for (let index = 0; index < Number(count);) {
  const together = Array.from({ length: 1 + (index % 3) }, (_, more) => index + more).filter(
    (one) => one < Number(count),
  )
  await Promise.all(
    together.map((one) =>
      audit.append({ actor, action: 'work', target: 'nothing', outcome: 'allowed', details: { index: one } }),
    ),
  )
  index += together.length
}
await store.close()
