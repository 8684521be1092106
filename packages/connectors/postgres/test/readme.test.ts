import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { afterAll, expect, onTestFinished, test, vi } from 'vitest'
import { requirePeer } from '@ecokit/peers/vitest'
import { endServer, server } from './support.ts'

const peer = await requirePeer('postgres')
afterAll(endServer)

peer.describe('README', () => {
  test('begins with lines that run', async () => {
    const { port, database, logins } = await server()
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
    const code = (/```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? '')
      .replace("host: 'localhost', database: 'lake'", `host: '127.0.0.1', port: ${port}, database: '${database}'`)
      .replace("username: 'me', password: 'from-a-vault'", `username: 'writer', password: '${logins.writer.password}'`)
    const cache = new URL('../.cache/', import.meta.url)
    await mkdir(cache, { recursive: true })
    onTestFinished(() => rm(cache, { recursive: true }))
    await writeFile(new URL('readme.ts', cache), code)
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    onTestFinished(() => log.mockRestore())
    await import(new URL('readme.ts', cache).href)
    expect(log).toHaveBeenCalledExactlyOnceWith([{ id: 'a' }, { id: 'b' }])
  })
})
