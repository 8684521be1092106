import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { openFactory } from './factory.ts'
import type { Life } from './life.ts'

const life: Life = {
  sink: { connector: 'local', sinkName: 'files', config: {} },
  url: '',
  folder: '',
  streams: [],
  full: false,
  naive: false,
}

test('a process whose answer crosses the signal that kills it takes no further life', async () => {
  const script = fileURLToPath(new URL('answers.ts', import.meta.url))
  const factory = openFactory(1, script)
  onTestFinished(factory.close)
  expect(await factory.live(life)).toEqual({ killed: false, wrong: '' })
  const crossed = factory.live(life, 20)
  // This process sees nothing until both are due: the timer comes first, the answer is long there.
  setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500))
  expect(await crossed).toEqual({ killed: false, wrong: '' })
  expect(await factory.live(life)).toEqual({ killed: false, wrong: '' })
})
