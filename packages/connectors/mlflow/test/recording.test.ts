import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runPython, startMlflow, trainScript } from '@ecokit/peers'
import { requirePeer } from '@ecokit/peers/vitest'
import { recordExchanges, replayExchanges, type Recorder, type Replayer } from '@ecokit/testkit'
import { connect, mlflow } from '../src/index.ts'

const checkedIn = fileURLToPath(new URL('recordings/mlflow.json', import.meta.url))
const peer = await requirePeer('mlflow')
const secret = 'a-token/with+signs'

/** Everything that the recording holds, in a form that can be compared. */
const drive = async (trackingUri: string, dispatcher: Recorder | Replayer) => {
  const connection = connect(
    mlflow,
    { name: 'tracking', config: { trackingUri }, credentials: { scheme: 'token', token: secret } },
    { dispatcher },
  )
  const runs = await Array.fromAsync(connection.runs.search({ limit: 2 }))
  const [run] = runs
  if (run === undefined) throw new Error('no run')
  const [file] = await Array.fromAsync(connection.artifacts.list({ runId: run.id }))
  const read: object[] = []
  for await (const batch of connection.read('registered_models'))
    if (batch.encoding === 'records') read.push(...batch.records)
  const missing = await connection.runs
    .get({ id: 'f'.repeat(32) })
    .catch((error: unknown) => (error as { code: string }).code)
  const { status, parts, version } = await connection.check()
  await connection.runs.setTag({ id: run.id, key: 'seen', value: 'yes' })
  await connection.close()
  return { runs, file, read, missing, status, parts, version }
}

test('a recording of a real MLflow answers as the server did, without any server', async () => {
  const replayer = replayExchanges(checkedIn)
  const answers = await drive('http://127.0.0.1:9', replayer)
  replayer.done()
  expect(answers).toMatchObject({ status: 'healthy', missing: 'not_found', parts: { experiments: 'ok', models: 'ok' } })
  expect(answers.runs).toHaveLength(2)
  expect(Object.keys(answers.runs[0]?.metrics ?? {}).length).toBeGreaterThan(0)
  expect(answers.read.length).toBeGreaterThan(0)
  const text = await readFile(checkedIn, 'utf8')
  expect(text).not.toContain('a-token')
  expect(text).toContain('"authorization": "***"')
})

peer.describe('a recording that is made now', () => {
  test('is replayed to the same answers; with ECOKIT_RECORD=1 it takes the place of the one that is checked in', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-recording-'))
    const server = await startMlflow({ folder })
    await runPython(trainScript, ['--url', server.url, '--runs', '3'])
    const file = process.env['ECOKIT_RECORD'] === '1' ? checkedIn : path.join(folder, 'recording.json')
    const recorder = recordExchanges({ file, secrets: [secret] })
    const live = await drive(server.url, recorder)
    await recorder.close()
    await server.stop()
    const replayer = replayExchanges(file)
    expect(await drive('http://127.0.0.1:9', replayer)).toEqual(live)
    replayer.done()
    await rm(folder, { recursive: true, force: true })
  }, 180_000)
})
