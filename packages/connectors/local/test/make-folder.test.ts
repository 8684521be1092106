import { existsSync } from 'node:fs'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { makeFolder } from '../src/make-folder.ts'

test('folders are made with those above them, also twice and side by side', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-local-'))
  const deep = path.join(folder, 'a', 'b', 'c')
  await Promise.all([makeFolder(deep), makeFolder(deep), makeFolder(path.join(folder, 'a', 'd'))])
  await makeFolder(deep)
  expect((await stat(deep)).isDirectory()).toBe(true)
  await writeFile(path.join(folder, 'file'), '')
  await expect(makeFolder(path.join(folder, 'file', 'below'))).rejects.toThrow('ENOTDIR')
  await expect(makeFolder(path.join(folder, 'file'))).rejects.toThrow('EEXIST')
  await rm(folder, { recursive: true })
})

test.runIf(existsSync('/proc/self'))('a file system that takes no folders ends it', async () => {
  await expect(makeFolder('/proc/ecokit/lake')).rejects.toThrow('ENOENT')
})
