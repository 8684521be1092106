import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { chromium, type Browser, type Page } from 'playwright-core'
import { findChromium } from './chromium.ts'
import { installCodeServer, type CodeServer } from './install.ts'

/** Quiet defaults: nothing asks the outside for anything, and no panel covers what is looked at. */
const quiet = {
  'workbench.startupEditor': 'none',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'telemetry.telemetryLevel': 'off',
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'files.autoSave': 'off',
  'chat.disableAIFeatures': true,
  'git.enabled': false,
}

const browserArguments = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export interface WorkbenchOptions {
  /** A folder or a .code-workspace file. */
  readonly folder?: string | undefined
  /** Kept when given; else a temporary one. */
  readonly userDataFolder?: string | undefined
  readonly extensionsFolder?: string | undefined
  /** Folders of extensions that are loaded from source. */
  readonly extensionDevelopmentPaths?: readonly string[] | undefined
  /** The module whose `run()` the extension host calls; its end arrives through `prepare`. */
  readonly extensionTestsPath?: string | undefined
  /** What the extension host finds in its environment besides its own. */
  readonly extensionEnvironment?: Readonly<Record<string, string>> | undefined
  /** Added to the quiet defaults, as in settings.json. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined
  readonly viewport?: { readonly width: number; readonly height: number } | undefined
  /** Pixels of a screenshot for one of the page. */
  readonly scale?: number | undefined
  /** Called with the page before it is opened. */
  readonly prepare?: ((page: Page) => Promise<void>) | undefined
}

export interface Workbench {
  readonly page: Page
  /** What code-server printed last. */
  log(): string
  /** Settles when code-server ends by itself. */
  readonly serverEnded: Promise<void>
  /** Ends the browser and code-server with all their children, and removes the temporary folders. */
  close(): Promise<void>
}

/** Sends a signal to a detached child and everything that it started; false when all of it is gone. */
const signalGroup = ({ pid }: ChildProcess, signal: NodeJS.Signals | 0): boolean => {
  try {
    return pid !== undefined && process.kill(-pid, signal)
  } catch {
    return false
  }
}

/** Ends a detached child and everything that it started; SIGKILL for what has not gone after five seconds. */
const endGroup = async (child: ChildProcess): Promise<void> => {
  signalGroup(child, 'SIGTERM')
  for (let waited = 0; signalGroup(child, 0) && waited < 5000; waited += 50) await wait(50)
  signalGroup(child, 'SIGKILL')
}

const writeUserData = async (folder: string, settings: WorkbenchOptions['settings']): Promise<void> => {
  await mkdir(path.join(folder, 'User'), { recursive: true })
  await writeFile(path.join(folder, 'User', 'settings.json'), JSON.stringify({ ...quiet, ...settings }))
}

/** Everything that code-server would keep in the user's home goes into `home`. */
const startServer = async (
  { node, entry }: CodeServer,
  folders: { home: string; userData: string; extensions: string },
): Promise<{ child: ChildProcess; url: string; log: () => string }> => {
  const config = path.join(folders.home, 'config.yaml')
  await writeFile(config, 'auth: none\n')
  const words = [
    '--config',
    config,
    '--bind-addr',
    '127.0.0.1:0',
    '--auth',
    'none',
    '--user-data-dir',
    folders.userData,
  ]
  const switches =
    '--disable-telemetry --disable-update-check --disable-workspace-trust --disable-getting-started-override --ignore-last-opened'
  const child = spawn(
    node,
    // The web workbench loads an extension from source, and its tests, only when this driver is enabled.
    [
      entry,
      ...words,
      '--extensions-dir',
      folders.extensions,
      ...switches.split(' '),
      '--vscode-option',
      'enable-smoke-test-driver',
    ],
    {
      env: {
        ...process.env,
        NODE_V8_COVERAGE: undefined,
        NODE_OPTIONS: undefined,
        EXTENSIONS_GALLERY: '{}',
        XDG_DATA_HOME: folders.home,
        XDG_CONFIG_HOME: folders.home,
        XDG_CACHE_HOME: folders.home,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    },
  )
  // The last resort, when this process ends without closing.
  const abandon = (): void => {
    signalGroup(child, 'SIGKILL')
  }
  process.once('exit', abandon)
  child.once('exit', () => process.off('exit', abandon))
  let printed = ''
  const log = (): string => printed.slice(-8000)
  const url = await new Promise<string>((resolve, reject) => {
    const fail = (why: string): void => {
      reject(new Error(`code-server ${why}:\n${log()}`))
    }
    const read = (chunk: Buffer): void => {
      printed = (printed + chunk.toString()).slice(-100_000)
      const found = /listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(printed)?.[1]
      if (found !== undefined) resolve(found)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('error', (error) => {
      fail(`did not start (${error.message})`)
    })
    child.once('exit', (code) => {
      fail(`ended with ${code ?? 'a signal'}`)
    })
    setTimeout(() => {
      fail('did not listen within 60 s')
    }, 60_000).unref()
  }).catch(async (error: unknown) => {
    await endGroup(child)
    throw error
  })
  return { child, url, log }
}

/** The address that opens the workbench on a folder, with extensions and tests from source. */
const address = (url: string, options: WorkbenchOptions): string => {
  const { host } = new URL(url)
  const remote = (file: string): string => `vscode-remote://${host}${encodeURI(path.resolve(file))}`
  const query = new URLSearchParams()
  if (options.folder === undefined) query.set('ew', 'true')
  else query.set(options.folder.endsWith('.code-workspace') ? 'workspace' : 'folder', path.resolve(options.folder))
  const payload = [
    ...(options.extensionDevelopmentPaths ?? []).map((folder) => ['extensionDevelopmentPath', remote(folder)]),
    ...(options.extensionTestsPath === undefined ? [] : [['extensionTestsPath', remote(options.extensionTestsPath)]]),
    ['extensionEnvironment', JSON.stringify(options.extensionEnvironment ?? {})],
    ['skipWelcome', 'true'],
    ['skipReleaseNotes', 'true'],
  ]
  query.set('payload', JSON.stringify(payload))
  return `${url}/?${query.toString()}`
}

/** Opens VS Code's own workbench on its own server, in a headless browser that reaches nothing but this machine. */
export const openWorkbench = async (options: WorkbenchOptions): Promise<Workbench> => {
  const executablePath = findChromium()
  if (executablePath === undefined) throw new Error('no Chromium found; install it or name it in CHROMIUM')
  const codeServer = await installCodeServer()
  const home = await mkdtemp(path.join(tmpdir(), 'vscode-host-'))
  const userData = options.userDataFolder ?? path.join(home, 'user-data')
  const extensions = options.extensionsFolder ?? path.join(home, 'extensions')
  let server: Awaited<ReturnType<typeof startServer>> | undefined
  let browser: Browser | undefined
  const close = async (): Promise<void> => {
    await browser?.close().catch(() => undefined)
    if (server !== undefined) await endGroup(server.child)
    await rm(home, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    await mkdir(extensions, { recursive: true })
    await writeUserData(userData, options.settings)
    server = await startServer(codeServer, { home, userData, extensions })
    const { child, url, log } = server
    const serverEnded = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    browser = await chromium.launch({ executablePath, args: browserArguments })
    const context = await browser.newContext({
      viewport: options.viewport ?? { width: 1280, height: 800 },
      deviceScaleFactor: options.scale ?? 1,
    })
    // Also for the windows that the workbench opens.
    await context.route(
      ({ hostname }) => hostname !== '127.0.0.1',
      (route) => route.abort(),
    )
    const page = await context.newPage()
    await options.prepare?.(page)
    await page.goto(address(url, options), { waitUntil: 'domcontentloaded' })
    return { page, log, serverEnded, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Installs a .vsix into an extensions folder, as `code --install-extension` does. */
export const installExtension = async (vsix: string, extensionsFolder: string): Promise<void> => {
  const { node, entry } = await installCodeServer()
  const home = await mkdtemp(path.join(tmpdir(), 'vscode-host-'))
  const config = path.join(home, 'config.yaml')
  await writeFile(config, 'auth: none\n')
  const words = ['--config', config, '--user-data-dir', home, '--extensions-dir', extensionsFolder]
  const child = spawn(node, [entry, ...words, '--install-extension', vsix, '--force'], {
    env: { ...process.env, EXTENSIONS_GALLERY: '{}', XDG_DATA_HOME: home, XDG_CONFIG_HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  const keep = (chunk: Buffer): void => {
    printed += chunk.toString()
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const code = await new Promise((resolve) => child.once('close', resolve))
  await rm(home, { recursive: true, force: true })
  if (code !== 0) throw new Error(`could not install ${path.basename(vsix)}:\n${printed}`)
}
