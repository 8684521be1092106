import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { findChromium, installCodeServer } from '../index.ts'

const requirePeers = process.env['ECOKIT_REQUIRE_PEERS'] === '1'
/** Why the stand-in cannot run here; undefined where it can. */
const missing = await (async () => {
  try {
    if (process.platform === 'win32') throw new Error('code-server does not run on Windows')
    if (findChromium() === undefined) throw new Error('no Chromium found; install it or name it in CHROMIUM')
    await installCodeServer()
    return undefined
  } catch (error) {
    if (requirePeers) throw error
    return error instanceof Error ? error.message : String(error)
  }
})()

const standIn = path.resolve(import.meta.dirname, '../code-host.mjs')
const title = `the stand-in for the desktop executable${missing === undefined ? '' : ` [peer code-server is missing: ${missing}]`}`

describe.skipIf(missing !== undefined)(title, () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'vscode-host-'))
    await mkdir(path.join(folder, 'extension'))
    const manifest = { name: 'nothing', publisher: 'test', version: '0.0.0', engines: { vscode: '*' } }
    await writeFile(path.join(folder, 'extension/package.json'), JSON.stringify(manifest))
    const tests = `exports.run = async () => {
      const vscode = require('vscode')
      console.log('host ' + vscode.workspace.workspaceFolders[0].uri.fsPath + ' ' + process.env.ECOKIT_TEST_OUTCOME)
      if (process.env.ECOKIT_TEST_OUTCOME === 'hang') await new Promise(() => {})
      if (process.env.ECOKIT_TEST_OUTCOME === 'fail') throw new Error('one test failed')
    }`
    await writeFile(path.join(folder, 'tests.cjs'), tests)
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const start = (outcome: string) => {
    const words = [
      `--extensionTestsPath=${folder}/tests.cjs`,
      `--extensionDevelopmentPath=${folder}/extension`,
      '--no-sandbox',
    ]
    const child = spawn(process.execPath, [standIn, folder, `--user-data-dir=${folder}/data`, ...words], {
      env: { ...process.env, ECOKIT_TEST_OUTCOME: outcome, ECOKIT_TEST_MARK: folder },
    })
    let printed = ''
    const keep = (chunk: Buffer): void => {
      printed += chunk.toString()
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    return { child, printed: () => printed, ended }
  }
  /** Processes that inherited our mark: code-server, its children and the browser. */
  const left = async (): Promise<readonly string[]> => {
    if (process.platform !== 'linux') return []
    const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    const marked = async (id: string) =>
      (await readFile(`/proc/${id}/environ`, 'utf8').catch(() => '')).includes(`ECOKIT_TEST_MARK=${folder}`)
    const marks = await Promise.all(ids.map(marked))
    return ids.filter((_, at) => marks[at])
  }
  const nothingIsLeft = () =>
    vi.waitFor(
      async () => {
        expect(await left()).toEqual([])
      },
      { timeout: 20_000, interval: 100 },
    )

  test('the README begins with lines that run', { timeout: 120_000 }, async () => {
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
    const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
    const module = new URL('../.cache/readme.ts', import.meta.url)
    await mkdir(new URL('.', module), { recursive: true })
    const places = { "'extension'": 'extension', "'tests.cjs'": 'tests.cjs', "'.'": '' }
    const here = Object.entries(places).reduce(
      (text, [word, name]) => text.replace(word, JSON.stringify(path.join(folder, name))),
      code,
    )
    await writeFile(module, here)
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    onTestFinished(() => log.mockRestore())
    await import(module.href)
    expect(log).toHaveBeenLastCalledWith('passed')
  })

  test('gives the exit code of a suite that failed, and leaves nothing behind', { timeout: 120_000 }, async () => {
    const bad = start('fail')
    expect(await bad.ended).not.toBe(0)
    expect(bad.printed()).toContain(`host ${folder} fail`)
    expect(bad.printed()).toContain('one test failed')
    await nothingIsLeft()
  })

  test('leaves nothing behind when it is stopped in the middle', { timeout: 120_000 }, async () => {
    const hanging = start('hang')
    await vi.waitFor(
      () => {
        expect(hanging.printed()).toContain(`host ${folder} hang`)
      },
      { timeout: 60_000, interval: 100 },
    )
    expect((await left()).length).toBeGreaterThan(process.platform === 'linux' ? 3 : -1)
    hanging.child.kill('SIGTERM')
    expect(await hanging.ended).toBe(143)
    await nothingIsLeft()
  })
})
