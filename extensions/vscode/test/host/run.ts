import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { isIntegrationError } from '@ecokit/contracts'
import { formsOf } from '@ecokit/faults'
import { python } from '@ecokit/peers'
import { findEditor, installInto, runInEditor, type Editor } from '@ecokit/vscode-host'
import { openControl } from './control.ts'
import type { HostResults } from './suite.ts'
import { plainSecret } from './workspace.ts'
import { askCommandLine, openFixtureWorld, openRealWorld, type OpenWorld } from './worlds.ts'

const extensionFolder = path.resolve(import.meta.dirname, '../..')
const resultsFile = path.resolve(extensionFolder, '../../.cache/results/vscode.json')
const requirePeers = process.env['ECOKIT_REQUIRE_PEERS'] === '1'

interface Results {
  readonly passed: number
  readonly failed: number
  readonly failures: readonly { readonly title: string; readonly message: string }[]
  /** What was left out, and why. */
  readonly skipped: readonly string[]
}
const none: Results = { passed: 0, failed: 0, failures: [], skipped: [] }
const failure = (title: string, error: unknown): Results => ({
  ...none,
  failed: 1,
  failures: [{ title, message: error instanceof Error ? error.message : String(error) }],
})
const sum = (all: readonly Results[]): Results => ({
  passed: all.reduce((total, { passed }) => total + passed, 0),
  failed: all.reduce((total, { failed }) => total + failed, 0),
  failures: all.flatMap(({ failures }) => failures),
  skipped: all.flatMap(({ skipped }) => skipped),
})

const node = async (...words: readonly string[]): Promise<void> => {
  const child = spawn(process.execPath, words, { cwd: extensionFolder, stdio: 'inherit' })
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`node ${words.join(' ')} ended with ${String(code)}`)
}

/** The files that hold one of the secrets: logs, and what the editor stores for its extensions. The editor's own copies of files that were open are left out. */
const filesWith = async (userDataFolder: string, secrets: readonly string[]): Promise<readonly string[]> => {
  const entries = await readdir(userDataFolder, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(userDataFolder, path.join(entry.parentPath, entry.name)))
    .filter((file) => !/(?:^|[\\/])(?:History|Backups)[\\/]/.test(file))
  if (!files.some((file) => file.endsWith('.log'))) throw new Error('the editor has written no log to look into')
  const forms = secrets.flatMap(formsOf).map((form) => Buffer.from(form))
  const found: string[] = []
  for (const file of files) {
    const bytes = await readFile(path.join(userDataFolder, file))
    if (forms.some((form) => bytes.includes(form))) found.push(file)
  }
  return found
}

const runSuite = async (
  title: string,
  editor: Editor,
  openWorld: (folder: string) => Promise<OpenWorld>,
  packed: boolean,
): Promise<Results> => {
  const started = performance.now()
  console.log(`\n${title}`)
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-vscode-'))
  const folders = {
    workspace: path.join(folder, 'workspace'),
    userDataFolder: path.join(folder, 'user-data'),
    extensionsFolder: path.join(folder, 'extensions'),
  }
  const results = path.join(folder, 'results.json')
  let world: OpenWorld | undefined
  let control: Awaited<ReturnType<typeof openControl>> | undefined
  try {
    for (const each of Object.values(folders)) await mkdir(each)
    let developed = extensionFolder
    if (packed) {
      await installInto(editor, path.join(extensionFolder, 'dist/ecokit-vscode.vsix'), folders.extensionsFolder)
      // The tests need some extension from source beside them; the packed one is what they find.
      developed = path.join(folder, 'nothing')
      await mkdir(developed)
      await writeFile(
        path.join(developed, 'package.json'),
        '{"name":"nothing","publisher":"test","version":"0.0.0","engines":{"vscode":"*"}}',
      )
    }
    world = await openWorld(folders.workspace)
    control = await openControl(world)
    const files = ['ecosystem.yaml', 'ecosystem.json']
    const lines = files.map(async (file) => [
      file,
      await askCommandLine(path.join(folders.workspace, 'mistyped', file)),
    ])
    const said: unknown = Object.fromEntries(await Promise.all(lines))
    await runInEditor(editor, {
      ...folders,
      extensionFolder: developed,
      testModule: path.join(extensionFolder, 'dist/test/suite.cjs'),
      environment: {
        ECOKIT_TEST_CONTROL: control.url,
        ECOKIT_TEST_PARTNERS: world.partners.join(','),
        ECOKIT_TEST_WORLD: world.kind,
        ECOKIT_TEST_RESULTS: results,
        ECOKIT_TEST_SAID: JSON.stringify(said),
      },
    })
    const text = await readFile(results, 'utf8').catch(() => {
      throw new Error('the editor ended before the tests did')
    })
    const { passed, failures } = JSON.parse(text) as HostResults
    const token = (await readFile(path.join(folders.workspace, '.ecokit', 'token'), 'utf8')).trim()
    const found = await filesWith(folders.userDataFolder, [token, plainSecret])
    const kept =
      found.length > 0
        ? [
            {
              title: 'no log and no storage holds the token or the secret',
              message: `one stands in ${found.join(', ')}`,
            },
          ]
        : []
    const all = [...failures, ...kept].map((each) => ({ ...each, title: `${title}: ${each.title}` }))
    return { ...none, passed: passed.length + 1 - kept.length, failed: all.length, failures: all }
  } catch (error) {
    return failure(title, error)
  } finally {
    await control?.close()
    await world?.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    console.log(`${title}: ${((performance.now() - started) / 1000).toFixed(1)} s`)
  }
}

/** A peer that is missing is left out by name; where peers are required it is a failure. */
const missing = (what: string, why: string): Results =>
  requirePeers ? failure(what, why) : { ...none, skipped: [`${what}: ${why}`] }

const runAll = async (): Promise<Results> => {
  const editor = await findEditor()
  if ('missing' in editor) return missing('the VS Code extension host', editor.missing)
  await node('build.mjs', '--tests')
  await node('package.mjs')
  const results = [
    await runSuite(`from source, in ${editor.title}`, editor, openFixtureWorld, false),
    await runSuite(`the packed extension, in ${editor.title}`, editor, openFixtureWorld, true),
  ]
  const real = 'with ecokit up and a real MLflow server'
  try {
    await python({
      progress: (line) => {
        console.log(line)
      },
    })
    results.push(await runSuite(real, editor, openRealWorld, false))
  } catch (error) {
    if (!isIntegrationError(error)) throw error
    results.push(missing(real, error.message))
  }
  return sum(results)
}

/** Runs everything, writes `.cache/results/vscode.json` for the root's test command, and prints the one line that sums it up; the exit code. */
export const runHostTests = async (): Promise<number> => {
  const results = await runAll().catch((error: unknown) => failure('the tests of the extension', error))
  await mkdir(path.dirname(resultsFile), { recursive: true })
  await writeFile(resultsFile, JSON.stringify(results, undefined, 2))
  for (const { title, message } of results.failures) console.error(`\nfailed: ${title}\n  ${message}`)
  for (const name of results.skipped) console.log(`left out: ${name}`)
  console.log(`\n${results.passed} passed, ${results.failed} failed`)
  return results.failed === 0 ? 0 : 1
}
