import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the tests inside the extension host may ask of the process that started them. */
export interface World {
  /** Makes the partner fail, or work again, as its platform would. */
  partner(name: string, state: 'up' | 'down'): Promise<void>
  /** Ends the server that the extension follows, or starts it again. */
  server(state: 'up' | 'down'): Promise<void>
  /** Runs `ecokit` in the folder with the secret in clear; gives what it printed. */
  ecokit(...words: readonly string[]): Promise<string>
  /** The requests that the server saw, where it keeps them. */
  requests(): readonly string[]
}

/** Offers a world to the extension host, which is another process, over a port of its own. */
export const openControl = async (world: World): Promise<{ readonly url: string; close(): Promise<void> }> => {
  const act = async (path: string): Promise<unknown> => {
    const [what, ...words] = path.split('/').slice(1).map(decodeURIComponent)
    const state = words.at(-1) === 'up' ? 'up' : 'down'
    if (what === 'partner') await world.partner(words[0] ?? '', state)
    if (what === 'server') await world.server(state)
    if (what === 'ecokit') return await world.ecokit(...words)
    return what === 'requests' ? world.requests() : true
  }
  const server = createServer((request, response) => {
    act(request.url ?? '/').then(
      (answer) => response.end(JSON.stringify(answer)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        server.closeAllConnections()
      }),
  }
}

const ask = async (path: string): Promise<unknown> => {
  const reply = await fetch(`${process.env['ECOKIT_TEST_CONTROL'] ?? ''}/${path}`)
  const text = await reply.text()
  if (!reply.ok) throw new Error(`the test runner could not do ${path}: ${text}`)
  return JSON.parse(text)
}

/** The world as the tests in the extension host see it. */
export const control = {
  partner: (name: string, state: 'up' | 'down') => ask(`partner/${name}/${state}`),
  server: (state: 'up' | 'down') => ask(`server/${state}`),
  ecokit: async (...words: readonly string[]) => (await ask(['ecokit', ...words].join('/'))) as string,
  requests: async () => (await ask('requests')) as readonly string[],
}
