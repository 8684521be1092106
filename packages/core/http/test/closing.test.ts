import { expect, test } from 'vitest'
import type { OpenHttp } from '@ecokit/contracts'
import { failure, open, serve, until } from './support.ts'

test('closing ends the calls at once, and lets the auth scheme end its exchange first', async () => {
  const order: string[] = []
  let answer = (): void => {}
  const { url, received } = await serve((request, response) => {
    if (request.url === '/token') answer = () => response.end('{}')
  })
  let exchange: Promise<unknown> | undefined
  const network = open(url, {
    authorizer: (http: OpenHttp) => ({
      authorize: () => {
        exchange ??= http(url)
          .request({ method: 'POST', path: 'token' })
          .then(async ({ body }) => {
            await body.cancel()
            order.push('exchanged')
          })
      },
      close: async () => {
        await exchange
      },
    }),
  })
  const call = network.http(url).request({ method: 'GET', path: 'slow' })
  const ended = failure(call, 'cancelled').then(() => order.push('call ended'))
  await until(() => received.length === 2)
  const closing = network.close().then(() => order.push('closed'))
  await ended
  answer()
  await closing
  expect(order).toEqual(['call ended', 'exchanged', 'closed'])
  await failure(network.http(url).request({ method: 'GET', path: '' }), 'cancelled')
})
