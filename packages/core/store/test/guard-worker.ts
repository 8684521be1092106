/** One of several processes that call one server through guards over the same store: `<file> <url> <policy> <calls>`. */
import type { Policy } from '@ecokit/contracts'
import { openNetwork } from '@ecokit/http'
import { z } from 'zod'
import { openShared, openStore } from '../src/index.ts'

const [file = '', url = '', policy = '', calls] = process.argv.slice(2)
const store = await openStore(file)
const network = openNetwork({
  partner: 'acme',
  hosts: ['{url}'],
  config: { url },
  policy: JSON.parse(policy) as Policy,
  runtime: { shared: openShared(store) },
})
const http = network.http(url)
// Answered when all processes are ready: what is loaded by the first call would make its turn come late.
await http.json({ method: 'GET', path: 'ready' }, z.unknown())
await Promise.all(Array.from({ length: Number(calls) }, () => http.json({ method: 'GET', path: 'call' }, z.unknown())))
await network.close()
await store.close()
