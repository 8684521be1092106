import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { downloadAndUnzipVSCode, resolveCliArgsFromVSCodeExecutablePath, runTests } from '@vscode/test-electron'
import { findChromium } from './chromium.ts'
import { cacheFolder, installCodeServer } from './install.ts'

const standIn = path.join(import.meta.dirname, 'code-host.mjs')

/** An editor that runs extension tests. */
export interface Editor {
  /** For people: which one and where from. */
  readonly title: string
  /** What takes the tests' arguments. */
  readonly executable: string
  /** What takes `--install-extension`. */
  readonly commandLine: readonly string[]
}

const say = (line: string): void => {
  console.log(line)
}
const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const desktop = async (progress: (line: string) => void): Promise<Editor> => {
  progress('VS Code: downloading the stable desktop editor (once)')
  const executable = await downloadAndUnzipVSCode({ version: 'stable', cachePath: path.join(cacheFolder, 'vscode') })
  const [command = executable, ...words] = resolveCliArgsFromVSCodeExecutablePath(executable)
  return { title: 'desktop VS Code', executable, commandLine: [command, ...words] }
}

const codeServer = async (progress: (line: string) => void): Promise<Editor> => {
  if (process.platform === 'win32') throw new Error('code-server does not run on Windows')
  if (findChromium() === undefined) throw new Error('no Chromium found; install it or name it in CHROMIUM')
  const { version } = await installCodeServer(progress)
  return { title: `code-server ${version} in headless Chromium`, executable: standIn, commandLine: [standIn] }
}

/**
 * The editor for this machine: the one that VSCODE_EXECUTABLE names; else the downloaded desktop editor where there is a display for it; else, and
 * where the download fails, code-server in a headless browser. `missing` says in one sentence why there is none.
 */
export const findEditor = async (
  progress: (line: string) => void = say,
): Promise<Editor | { readonly missing: string }> => {
  const given = process.env['VSCODE_EXECUTABLE']
  if (given !== undefined && given !== '') return { title: given, executable: given, commandLine: [given] }
  const display = process.platform !== 'linux' || Boolean(process.env['DISPLAY'] ?? process.env['WAYLAND_DISPLAY'])
  const problems: string[] = []
  for (const find of display ? [desktop, codeServer] : [codeServer])
    try {
      return await find(progress)
    } catch (error) {
      problems.push(reason(error))
    }
  return { missing: problems.join('; ') }
}

/** The environment in which the stand-in's first line finds this very Node. */
const withNode = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env['PATH'] ?? ''}`,
})

/** Installs a .vsix into an extensions folder. */
export const installInto = async (editor: Editor, vsix: string, extensionsFolder: string): Promise<void> => {
  const [command = editor.executable, ...words] = editor.commandLine
  const child = spawn(
    command,
    [...words, '--install-extension', vsix, '--force', `--extensions-dir=${extensionsFolder}`],
    {
      env: withNode(),
      stdio: ['ignore', 'inherit', 'inherit'],
      shell: process.platform === 'win32',
    },
  )
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`the editor could not install ${path.basename(vsix)}`)
}

export interface EditorTests {
  /** Of an extension that is loaded from source. */
  readonly extensionFolder: string
  /** Exports `run()`, which throws where a test failed. */
  readonly testModule: string
  /** The folder that is open. */
  readonly workspace: string
  /** Temporary where it is not given; so is `extensionsFolder`. */
  readonly userDataFolder?: string
  readonly extensionsFolder?: string
  /** Names that begin with ECOKIT_ reach the extension host. */
  readonly environment?: Readonly<Record<string, string>>
}

/** Runs a test module in the editor's extension host; true when its `run()` succeeded. */
export const runInEditor = async (editor: Editor, tests: EditorTests): Promise<boolean> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'vscode-host-'))
  const userData = path.resolve(tests.userDataFolder ?? path.join(folder, 'user-data'))
  const extensions = path.resolve(tests.extensionsFolder ?? path.join(folder, 'extensions'))
  try {
    await runTests({
      vscodeExecutablePath: editor.executable,
      extensionDevelopmentPath: path.resolve(tests.extensionFolder),
      extensionTestsPath: path.resolve(tests.testModule),
      launchArgs: [path.resolve(tests.workspace), `--user-data-dir=${userData}`, `--extensions-dir=${extensions}`],
      extensionTestsEnv: { ...withNode(), ...tests.environment },
    })
    return true
  } catch {
    return false
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
