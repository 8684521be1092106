import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { checkPartner } from '../src/client.ts'
import { follow, type Following } from '../src/follow.ts'
import { localOrigin, locate } from '../src/location.ts'
import type { Model } from '../src/model.ts'
import { rowsOf } from '../src/presentation.ts'
import { changed, openFixtureServer, samplePartners, type FixtureServer } from './fixture-server.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})
const temporary = async (): Promise<string> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-vscode-'))
  closers.push(() => rm(folder, { recursive: true }))
  return folder
}
const serve = async (folder?: string): Promise<FixtureServer> => {
  const server = await openFixtureServer(samplePartners, folder)
  closers.push(() => server.close())
  return server
}
const look = (folder: string, serverUrl = '', storedToken: (url: string) => string | undefined = () => undefined) =>
  locate({ serverUrl, folders: [folder], storedToken: (url) => Promise.resolve(storedToken(url)) })
const open = (folder: string) => {
  const models: Model[] = []
  const changes: (string | undefined)[] = []
  const following = follow({
    locate: () => look(folder),
    onChange: (model, changed) => {
      models.push(model)
      changes.push(changed)
    },
    backoff: { firstMs: 5, maxMs: 20 },
  })
  closers.push(() => following.close())
  return { following, models, changes }
}
const until = (condition: () => unknown): Promise<void> =>
  vi.waitFor(() => {
    expect(condition()).toBeTruthy()
  }, 10_000)
const description = (following: Following, name: string) =>
  rowsOf(following.model()).find(({ id }) => id === name)?.description
const kind = (following: Following) => following.model().connection.kind

test('follows a partner to red and back, event by event, and redraws only its row', async () => {
  const folder = await temporary()
  const server = await serve(folder)
  const { following, changes } = open(folder)
  await until(() => description(following, 'mlflow') === '42 ms')
  server.set(changed('mlflow', { status: 'unhealthy', code: 'unavailable', message: 'gone' }))
  await until(() => description(following, 'mlflow') === 'unhealthy: gone')
  expect(changes.at(-1)).toBe('mlflow')
  server.set(changed('mlflow', {}))
  await until(() => description(following, 'mlflow') === '42 ms')
})

test('an event that is cut in the middle of a character arrives whole', async () => {
  const folder = await temporary()
  const server = await serve(folder)
  const { following } = open(folder)
  await until(() => kind(following) === 'live')
  const message = 'läuft nicht: 不可用'
  const event = `event: partner\ndata: ${JSON.stringify(changed('lake', { status: 'unhealthy', message }))}\n\n`
  for (const byte of new TextEncoder().encode(event)) server.write(Uint8Array.of(byte))
  await until(() => description(following, 'lake') === `unhealthy: ${message}`)
})

test('finds a server that starts later, loses one that is killed and finds it again', async () => {
  const folder = await temporary()
  const { following, models } = open(folder)
  await until(() => models.length > 0)
  expect(models.map(({ connection }) => connection)).toEqual([{ kind: 'absent' }])
  const server = await serve(folder)
  await until(() => kind(following) === 'live')
  await server.stop()
  await until(() => kind(following) === 'down')
  expect(rowsOf(following.model())).toEqual([])
  expect(following.target()).toBeUndefined()
  await server.start()
  await until(() => rowsOf(following.model()).length === 3)
  const kinds = models.map(({ connection }) => connection.kind)
  expect(kinds.slice(kinds.indexOf('down')).filter((each) => each === 'connecting')).toEqual([])
})

test('a partner that is removed is gone', async () => {
  const folder = await temporary()
  const server = await serve(folder)
  const { following } = open(folder)
  await until(() => rowsOf(following.model()).length === 3)
  server.remove('lake')
  await until(() => rowsOf(following.model()).length === 2)
})

test('says that a token is wrong or missing, and connects once it is right', async () => {
  const server = await serve()
  const folder = await temporary()
  let token: string | undefined
  const following = follow({
    locate: () => look(folder, server.url, () => token),
    onChange: () => {},
    backoff: { firstMs: 5, maxMs: 20 },
  })
  closers.push(() => following.close())
  await until(() => kind(following) === 'refused')
  token = 'wrong'
  await until(() => server.requests.length > 0 && kind(following) === 'refused')
  expect(following.model().connection).toMatchObject({
    reason: expect.stringContaining('the token is missing or wrong') as string,
  })
  token = server.token
  following.restart()
  await until(() => kind(following) === 'live')
})

test('ends everything when it is closed', async () => {
  const folder = await temporary()
  const server = await serve(folder)
  const { following } = open(folder)
  await until(() => server.followers() === 1)
  await following.close()
  await until(() => server.followers() === 0)
})

test('checks one partner, and gives the server’s own words when it cannot', async () => {
  const server = await serve()
  expect(await checkPartner(server, 'mlflow')).toMatchObject({ status: 'healthy', version: '3.18.0' })
  await expect(checkPartner(server, 'nobody')).rejects.toMatchObject({
    code: 'not_found',
    message: 'there is no partner nobody',
  })
  await expect(checkPartner({ ...server, token: 'x' }, 'mlflow')).rejects.toMatchObject({ code: 'unauthenticated' })
  await server.stop()
  await expect(checkPartner(server, 'mlflow')).rejects.toThrow(
    /^the server at http:\/\/127\.0\.0\.1:\d+ does not answer \(\w+\)\. Start it with: ecokit up$/,
  )
})

test('goes to addresses of this machine only', () => {
  expect(localOrigin('http://127.0.0.1:8000/x?y')).toBe('http://127.0.0.1:8000')
  expect(localOrigin('https://localhost:1/')).toBe('https://localhost:1')
  expect(localOrigin('http://[::1]:8000')).toBe('http://[::1]:8000')
  for (const address of [
    'http://example.com',
    'http://127.0.0.1.example.com',
    'http://127.0.0.1@example.com',
    'file:///etc',
    'x',
    '',
  ])
    expect(localOrigin(address)).toBeUndefined()
})

test('a token from a file goes only to the server that is announced beside it', async () => {
  const folder = await temporary()
  const server = await serve(folder)
  expect(await look(folder)).toEqual({ kind: 'found', url: server.url, token: server.token })
  expect(await look(folder, `${server.url}/`)).toMatchObject({ kind: 'found', token: server.token })
  expect(await look(folder, 'http://127.0.0.1:9')).toMatchObject({ kind: 'untold', url: 'http://127.0.0.1:9' })
  expect(await look(folder, 'http://127.0.0.1:9', () => 'own')).toMatchObject({ kind: 'found', token: 'own' })
  expect(await look(folder, 'http://example.com', () => 'own')).toMatchObject({ kind: 'untold' })
  expect(await look(await temporary())).toEqual({ kind: 'absent' })
})
