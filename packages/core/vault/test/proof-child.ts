/** One of the processes that use a vault at once: rotates and destroys keys, reads, or writes, until it is killed or its input ends. */
import { appendFileSync } from 'node:fs'
import { memoryShared } from '@ecokit/http'
import { openStore } from '@ecokit/store'
import { fileKeys, openVault } from '../src/index.ts'

const [role = '', file = '', keyFile = '', records = '0', id = '0', log = ''] = process.argv.slice(2)
const access = { actor: `${role}-${id}`, reason: 'proof' }
const store = await openStore(file)
const freshMs = role === 'read' && id === '1' ? 50 : 0
const vault = await openVault({ store, keys: fileKeys(keyFile), allow: () => true, freshMs })
const tokens = vault.tokens(memoryShared())
let stopping = false
process.stdin.on('end', () => (stopping = true)).resume()
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const nameOf = (index: number) => ({ partner: `p${index % 7}`, name: `s${index}` })
const anyOf = (count: number): number => Math.floor(Math.random() * count)

const rotate = async (): Promise<void> => {
  console.log('ready')
  while (!stopping) {
    const { dataKeys, keyEncryptionKey } = await vault.rotate({}, access)
    for (const key of [...(dataKeys?.from ?? []), ...(keyEncryptionKey?.from ?? [])])
      await vault.destroyKey(key, access)
    console.log('rotated')
  }
}

/** Every value begins with the name of its secret, and what one reader sees of a secret never goes back. */
const read = async (): Promise<void> => {
  let reads = 0
  const failures: string[] = []
  const seen = new Map<string, number>()
  console.log('ready')
  while (!stopping) {
    const name = nameOf(anyOf(Number(records)))
    const first = reads % 4 === 0
    try {
      const value = await vault.get(name, access, first ? { version: 1 } : {})
      const turn = Number(value.split(' ')[1])
      const before = seen.get(name.name) ?? 0
      if (!value.startsWith(`${name.name} `) || (first ? turn !== 0 : turn < before))
        failures.push(`${name.name}: ${value} after ${before}`)
      if (!first) seen.set(name.name, turn)
      if (reads % 8 === 0 && !/^\d+$/.test((await tokens.get('tokens/p/count'))?.value ?? '')) failures.push('no token')
    } catch (error) {
      failures.push(String(error))
    }
    reads += 1
    if (reads % 5 === 0) await pause(2)
  }
  console.log(JSON.stringify({ reads, failures: failures.slice(0, 10), failed: failures.length }))
}

/** Notes each write that was acknowledged; only this process writes these names, and all writers count one token up. */
const write = async (): Promise<void> => {
  console.log('ready')
  for (let turn = 1; !stopping; turn++) {
    const index = anyOf(Math.ceil(Number(records) / 2)) * 2 + (Number(id) % 2)
    const name = nameOf(Math.min(index, Number(records) - 1))
    if (turn % 3 === 0) {
      const current = await tokens.get('tokens/p/count')
      const next = Number(current?.value) + 1
      if (await tokens.put('tokens/p/count', String(next), { expected: current?.version ?? 0 }))
        appendFileSync(log, `${JSON.stringify({ token: next })}\n`)
    } else {
      const at = Date.now()
      const value = `${name.name} ${at} by ${id}`
      const version = await vault.put(name, value, access)
      appendFileSync(log, `${JSON.stringify({ ...name, version, value })}\n`)
    }
    await pause(15)
  }
}

await (role === 'rotate' ? rotate() : role === 'read' ? read() : write())
await vault.close()
await store.close()
