import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { defineConnector, type AuthScheme } from '@ecokit/contracts'
import { connect } from '../src/index.ts'
import { answer, startServer } from './platform.ts'
import { failure } from './support.ts'

let api: Awaited<ReturnType<typeof startServer>>
let issuer: Awaited<ReturnType<typeof startServer>>
const asked: (string | undefined)[] = []
beforeAll(async () => {
  api = await startServer((request, response) => {
    asked.push(request.headers.authorization)
    answer(response, 200, {})
  })
  issuer = await startServer((_, response) => {
    answer(response, 200, { token: 'fresh' })
  })
})
afterAll(async () => {
  await api.stop()
  await issuer.stop()
})

test('the hosts of an auth scheme are for the scheme alone', async () => {
  const credentials = z.strictObject({})
  const exchange: AuthScheme<typeof credentials> = {
    kind: 'exchange',
    credentials,
    hosts: ['{issuer}'],
    open: (_, { http, config }) => ({
      authorize: async ({ headers }) => {
        const place = http((config as { issuer: string }).issuer)
        const { token } = await place.json({ method: 'GET', path: 'token' }, z.object({ token: z.string() }))
        headers.set('authorization', `Bearer ${token}`)
      },
    }),
  }
  const connector = defineConnector(
    {
      id: 'two',
      title: 'Two',
      config: z.object({ url: z.string(), issuer: z.string() }),
      hosts: ['{url}'],
      auth: { exchange },
    },
    ({ http }) => ({ check: async () => http(api.url).json({ method: 'GET', path: '' }, z.object({})) }),
  )
  const config = { url: api.url, issuer: issuer.url }
  const connection = connect(connector, { config, credentials: { scheme: 'exchange' } })
  expect((await connection.check()).status).toBe('healthy')
  expect(asked).toEqual(['Bearer fresh'])
  expect((await failure(() => connection.http(issuer.url))).code).toBe('host_not_allowed')
  await connection.close()
})
