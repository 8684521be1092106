import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { authority, serverCertificate, serverKey } from '../../../core/http/test/certificates.ts'
import { openSetting } from './setting.ts'

/** A partner that speaks nothing newer than TLS 1.2 and shows a certificate of an authority of its own; the paths and the versions of TLS that it saw. */
const openOldPartner = async () => {
  const [paths, versions]: [Set<string>, Set<string | null>] = [new Set(), new Set()]
  const server = createServer(
    { cert: serverCertificate, key: serverKey, maxVersion: 'TLSv1.2' },
    ({ url }, response) => {
      paths.add(url ?? '')
      const bodies: Readonly<Record<string, string>> = {
        '/samples': '[{"id":"a","size":1}]',
        '/samples/a': '{"id":"a","size":1}',
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end(bodies[url ?? ''] ?? '{}')
    },
  )
  server.on('secureConnection', (socket) => versions.add(socket.getProtocol()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, paths, versions }
}

test('a partner of TLS 1.2 with an authority of its own is reached by checks, syncs and API calls, and by no partner that the API registers', async () => {
  const { url, paths, versions } = await openOldPartner()
  const setting = await openSetting({
    prepare: async (file) => {
      await writeFile(join(dirname(file), 'authority.pem'), authority)
      const network = 'network: { tls: { minVersion: TLSv1.2, ca: authority.pem } }'
      const text = await readFile(file, 'utf8')
      await writeFile(file, text.replace(/config: \{ url: .*/, `config: { url: '${url}' }\n    ${network}`))
    },
  })
  onTestFinished(() => setting.close())
  const old = { status: 'healthy', oldTls: true }
  expect((await setting.send('POST', '/api/partners/lab/check')).body).toMatchObject(old)
  expect((await setting.get('/api/partners/lab')).body).toMatchObject({ health: old })
  expect(await setting.runtime.sync('lab-to-lake')).toMatchObject({ status: 'completed' })
  const called = await setting.send('POST', '/api/partners/lab/call/samples/get', { id: 'a' })
  expect(called).toMatchObject({ status: 200 })
  expect([...paths].toSorted()).toEqual(['/ping', '/samples', '/samples/a'])
  expect([...versions]).toEqual(['TLSv1.2'])

  const mine = { name: 'mine', connector: 'lab', config: { url } }
  const refused = await setting.send('POST', '/api/partners', { ...mine, network: { tls: { minVersion: 'TLSv1.2' } } })
  expect(refused.text).toContain('partners.mine.network: may stand only in the file')
  expect(await setting.send('POST', '/api/partners', mine)).toMatchObject({ status: 201 })
  paths.clear()
  const health = (await setting.send('POST', '/api/partners/mine/check')).body
  expect(health).toMatchObject({ status: 'unhealthy', code: 'unavailable' })
  expect(health).not.toHaveProperty('oldTls')
  expect(paths.size).toBe(0)
})
