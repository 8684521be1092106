import { once } from 'node:events'
import { createServer, connect as connectSocket, type AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { startToxiproxy, type Toxic, type ToxicProxy } from '../index.ts'
import { requirePeer } from '../vitest.ts'

const peer = await requirePeer('toxiproxy')
const words = 'a line of some length that is sent down\n'.repeat(50)

interface Got {
  readonly text: string
  readonly chunks: number
  readonly ms: number
  /** How the connection ended; `refused` where there was none. */
  readonly end: 'fin' | 'reset' | 'refused' | undefined
}

peer.describe('a real Toxiproxy', () => {
  test('serves each of the eight kinds as meant, and comes back', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {}).end(words)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    await using toxiproxy = await startToxiproxy({ seed: 7 })
    const proxy: ToxicProxy = await toxiproxy.proxy(`127.0.0.1:${(server.address() as AddressInfo).port}`)
    const ask = async (): Promise<Got> => {
      const started = performance.now()
      const chunks: Buffer[] = []
      let end: Got['end']
      const socket = connectSocket(proxy.port, '127.0.0.1')
      socket.on('data', (chunk) => chunks.push(chunk))
      socket.on('error', (error: NodeJS.ErrnoException) => (end = error.code === 'ECONNREFUSED' ? 'refused' : 'reset'))
      socket.on('end', () => (end ??= 'fin'))
      await new Promise((resolve) => socket.on('close', resolve))
      return { text: Buffer.concat(chunks).toString(), chunks: chunks.length, ms: performance.now() - started, end }
    }
    const under = async (toxic: Toxic): Promise<Got> => {
      await proxy.add(toxic)
      const got = await ask()
      await proxy.clear()
      return got
    }
    expect(await ask()).toMatchObject({ text: words, end: 'fin' })
    const late = await under({ type: 'latency', attributes: { latency: 60 } })
    expect(late).toMatchObject({ text: words, end: 'fin' })
    expect(late.ms).toBeGreaterThan(59)
    const narrow = await under({ type: 'bandwidth', attributes: { rate: 20 } })
    expect(narrow).toMatchObject({ text: words, end: 'fin' })
    expect(narrow.ms).toBeGreaterThan(50)
    const slow = await under({ type: 'slow_close', attributes: { delay: 60 } })
    expect(slow).toMatchObject({ text: words })
    expect(slow.ms).toBeGreaterThan(59)
    expect(await under({ type: 'timeout', attributes: { timeout: 40 } })).toMatchObject({ text: '', end: 'fin' })
    expect(await under({ type: 'reset_peer', attributes: { timeout: 0 } })).toMatchObject({ text: '', end: 'reset' })
    const sliced = await under({ type: 'slicer', attributes: { average_size: 100, size_variation: 20, delay: 500 } })
    expect(sliced).toMatchObject({ text: words, end: 'fin' })
    expect(sliced.chunks).toBeGreaterThan(3)
    expect(await under({ type: 'limit_data', attributes: { bytes: 11 } })).toMatchObject({ text: words.slice(0, 11) })
    await proxy.down()
    expect(await ask()).toMatchObject({ text: '', end: 'refused' })
    await proxy.clear()
    expect(await ask()).toMatchObject({ text: words, end: 'fin' })
  })
})
