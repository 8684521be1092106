// node calls.ts <undici | connect> <url> <calls> <in flight>: one GET of 100 bytes again and again, read as JSON.
import { defineConnector, capability, one } from '@ecokit/contracts'
import { z } from 'zod'
import { median, report } from './measure.ts'

const [variant = 'undici', url = '', calls = '1000', inFlight = '32'] = process.argv.slice(2)
const Ping = z.object({ id: z.string(), value: z.number(), text: z.string() })

const bare = async (): Promise<() => Promise<unknown>> => {
  const { Pool } = await import('undici')
  const pool = new Pool(url, { connections: Number(inFlight) })
  return async () =>
    (await pool.request({ path: '/ping', method: 'GET', headers: { authorization: 'Bearer token' } })).body.json()
}

/** With authentication, host check, retry, typed errors, observation, and validation of input and output. */
const ours = async (): Promise<() => Promise<unknown>> => {
  const [{ connect }, { bearer }] = await Promise.all([import('@ecokit/connect'), import('@ecokit/auth')])
  const ping = capability({
    id: 'bench.ping',
    version: 1,
    operations: { get: one({ effect: 'read', input: z.strictObject({}), output: Ping }) },
  })
  const connector = defineConnector(
    {
      id: 'bench',
      title: 'Bench',
      config: z.strictObject({ url: z.url() }),
      hosts: ['{url}'],
      auth: { token: bearer() },
      provides: { ping },
    },
    ({ config, http }) => {
      const api = http(config.url)
      return {
        check: async () => ({}),
        provides: { ping: { get: (_input, options) => api.json({ method: 'GET', path: '/ping' }, Ping, options) } },
      }
    },
  )
  const connection = connect(
    connector,
    { config: { url }, credentials: { scheme: 'token', token: 'token' } },
    { observer: () => {} },
  )
  return () => connection.ping.get({})
}

const call = await (variant === 'undici' ? bare() : ours())
const spin = async (count: number, width: number, times?: number[]): Promise<void> => {
  let left = count
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (left-- > 0) {
        const since = performance.now()
        await call()
        times?.push((performance.now() - since) * 1000)
      }
    }),
  )
}
// Sockets open and the compiler warm before the clock starts.
await spin(3000, Number(inFlight))
await report(async () => {
  const times: number[] = []
  await spin(Number(calls), Number(inFlight), times)
  return { count: Number(calls), p50Us: median(times) }
})
process.exit()
