import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { memoryShared } from '@ecokit/http'
import { expect, onTestFinished, test, vi } from 'vitest'
import { handOverCounts } from '../../../../tools/proofs/counts.ts'
import { fileKeys, makeKeyFile, openVault } from '../src/index.ts'
import { sealExport } from '../src/transfer.ts'
import { me, openedStore, openedVault, randomOf, temporaryFolder } from './support.ts'

const count = Number(process.env['ECOKIT_VAULT'] ?? 5_000)
const seed = Number(process.env['ECOKIT_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const kills = Math.ceil(count / 500)

const child = fileURLToPath(new URL('proof-child.ts', import.meta.url))
/** Compiled modules, written by the first process that ends by itself: halves what each start costs. */
const compiled = fileURLToPath(new URL('../.cache/compiled', import.meta.url))

interface Running {
  readonly process: ChildProcess
  readonly lines: string[]
  readonly said: () => string
}
const start = async (...args: readonly string[]): Promise<Running> => {
  const running = spawn(process.execPath, [child, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, NODE_COMPILE_CACHE: compiled },
  })
  onTestFinished(() => void running.kill('SIGKILL'))
  let said = ''
  running.stderr.on('data', (text: Buffer) => (said += text.toString()))
  const lines: string[] = []
  const read = createInterface(running.stdout)
  read.on('line', (line) => lines.push(line))
  await Promise.race([once(read, 'line'), once(running, 'close')])
  expect([said, lines[0]]).toEqual(['', 'ready'])
  return { process: running, lines, said: () => said }
}
const kill = async ({ process: running, said }: Running): Promise<void> => {
  const closed = once(running, 'close')
  running.kill('SIGKILL')
  await closed
  expect(said()).toBe('')
}
const stop = async ({ process: running, said }: Running): Promise<void> => {
  const closed = once(running, 'close')
  running.stdin?.end()
  expect([(await closed)[0], said()]).toEqual([0, ''])
}

interface Written {
  readonly partner: string
  readonly name: string
  readonly version: number
  readonly value: string
}

test(
  `${count} records, ${kills} rotations killed, readers and writers in other processes: no failed read, no lost write, no old key`,
  { timeout: 3_600_000 },
  async () => {
    const random = randomOf(seed)
    const folder = await temporaryFolder()
    const [file, keyFile] = [path.join(folder, 'state.db'), path.join(folder, 'vault.key')]
    const firstKek = await makeKeyFile(keyFile)
    const vault = await openedVault({ store: await openedStore(file), keys: fileKeys(keyFile) })
    const names = Array.from({ length: count }, (_, index) => ({ partner: `p${index % 7}`, name: `s${index}` }))
    const carried = names.map((name) => ({ ...name, active: true, createdAt: 1, value: `${name.name} 0 start` }))
    await vault.import(await sealExport(carried, 'a long enough passphrase', 'scrypt'), 'a long enough passphrase', me)
    await vault.tokens(memoryShared()).put('tokens/p/count', '0')
    const firstKey = (await vault.status()).dataKeys[0]?.id ?? ''

    const logs = ['0', '1'].map((id) => path.join(folder, `written-${id}`))
    const writer = (id: number): Promise<Running> =>
      start('write', file, keyFile, String(count), String(id), logs[id] ?? '')
    const readers = await Promise.all(['0', '1'].map((id) => start('read', file, keyFile, String(count), id)))
    const writers = await Promise.all([writer(0), writer(1)])
    let killedWriters = 0
    let rotations = 0
    for (let killed = 0; killed < kills; killed++) {
      const rotating = await start('rotate', file, keyFile)
      const killAt = random() * 400
      // Now and then one comes to its end and destroys the old keys under load, before it is killed in the next.
      if (killed % 10 === 9) await vi.waitUntil(() => rotating.lines.includes('rotated'), { timeout: 600_000 })
      await new Promise((resolve) => setTimeout(resolve, killAt))
      await kill(rotating)
      rotations += rotating.lines.filter((line) => line === 'rotated').length
      if (killed % 10 === 5) {
        const one = killedWriters++ % 2
        for (const running of writers.slice(one, one + 1)) await kill(running)
        // A line that was cut in its middle ends here.
        appendFileSync(logs[one] ?? '', '\n')
        writers[one] = await writer(one)
      }
    }
    for (const one of [...writers, ...readers]) await stop(one)
    const reads = readers.map(
      ({ lines }) => JSON.parse(lines.at(-1) ?? '') as { reads: number; failed: number; failures: string[] },
    )
    expect(reads.flatMap(({ failures }) => failures)).toEqual([])
    const failedReads = reads.reduce((sum, { failed }) => sum + failed, 0)
    expect([failedReads, reads.every(({ reads: answered }) => answered > 0)]).toEqual([0, true])

    // The last rotation is brought to its end, and then one more from its beginning.
    const last = await openVault({
      store: await openedStore(file),
      keys: fileKeys(keyFile),
      allow: () => true,
      freshMs: 0,
    })
    for (let turn = 0; turn < 2; turn++) expect((await last.rotate({}, me)).dataKeys?.unreadable).toEqual([])
    const { dataKeys } = await last.status()
    const total = dataKeys.reduce((sum, { records }) => sum + records, 0)
    expect(dataKeys.filter(({ records }) => records > 0).map(({ state, records }) => [state, records])).toEqual([
      ['active', total],
    ])
    for (const { id, state } of dataKeys) if (state === 'retired') await last.destroyKey(id, me)
    const current = (await last.status()).keyEncryptionKey.current
    const keks = [...readFileSync(keyFile, 'utf8').matchAll(/^ecokit-key-1 (\S+)/gm)].map((match) => match[1] ?? '')
    for (const kek of keks) if (kek !== current) await last.destroyKey(kek, me)
    await last.close()
    expect([...readFileSync(keyFile, 'utf8').matchAll(/^ecokit-key-1 (\S+)/gm)].map((match) => match[1])).toEqual([
      current,
    ])
    expect(current).not.toBe(firstKek)

    // Everything opens with what is left, with the value that was acknowledged last.
    const store = await openedStore(file)
    const after = await openedVault({ store, keys: fileKeys(keyFile) })
    const states = (await after.status()).dataKeys
    const onOldKeys = states.reduce((sum, { state, records }) => sum + (state === 'active' ? 0 : records), 0)
    expect(onOldKeys).toBe(0)
    expect(states.filter(({ state }) => state !== 'destroyed')).toHaveLength(1)
    expect(states.find(({ id }) => id === firstKey)?.state).toBe('destroyed')
    const lines = logs.filter((log) => existsSync(log)).flatMap((log) => readFileSync(log, 'utf8').split('\n'))
    const noted = lines.flatMap((line): (Written | { readonly token: number })[] => {
      try {
        return [JSON.parse(line) as Written]
      } catch {
        return []
      }
    })
    const written = noted.filter((one) => 'version' in one)
    const increments = noted.length - written.length
    const newest = new Map<string, Written>()
    let lostWrites = 0
    for (const one of written) {
      const value = await after.get(one, me, { version: one.version })
      lostWrites += value === one.value ? 0 : 1
      if (one.version > (newest.get(one.name)?.version ?? 0)) newest.set(one.name, one)
    }
    expect(lostWrites).toBe(0)
    for (const name of names) {
      expect(await after.get(name, me, { version: 1 })).toBe(`${name.name} 0 start`)
      const known = newest.get(name.name)
      const [active] = await after.versions(name, me)
      expect(active?.active).toBe(true)
      // A writer that was killed may have written once more than it noted.
      expect((active?.version ?? 0) - (known?.version ?? 1)).toBeLessThanOrEqual(killedWriters)
      const value = await after.get(name, me)
      expect(active?.version === known?.version ? value : known?.value).toBe(known?.value)
    }
    const counted = Number((await after.tokens(memoryShared()).get('tokens/p/count'))?.value)
    expect(counted).toBeGreaterThanOrEqual(increments)
    expect(counted).toBeLessThanOrEqual(increments + killedWriters)
    expect([written.length > 0, increments > 0]).toEqual([true, true])
    handOverCounts({
      rotation: {
        records: count,
        killedRotations: kills,
        killedWriters,
        rotationsToTheEnd: rotations + 2,
        dataKeysDestroyed: states.filter(({ state }) => state === 'destroyed').length,
        reads: reads.reduce((sum, { reads: answered }) => sum + answered, 0),
        failedReads,
        writes: written.length,
        tokenWrites: increments,
        lostWrites,
        onOldKeys,
      },
    })
  },
)
