import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { format } from 'node:util'
import { cacheFolder } from './install.ts'
import { installExtension, openWorkbench, type Workbench } from './workbench.ts'

const timeLimitMs = 600_000
/** What of the environment reaches the extension host; the rest of the caller's stays out of the tests. */
const passedOn = /^(ECOKIT_|VSCODE_TEST|MOCHA_|NODE_V8_COVERAGE$)/
/** Lines that the workbench prints on every start and that say nothing about the tests. */
const noise =
  /^\s*(Resolv|Creat(ing|ion)|\[(Service Worker|AgentHost|AccountPolicyGate|reconnection)|Updating additional|Ignoring fetching|Timed out waiting for authentication provider|%c)/

interface Arguments {
  readonly folder: string | undefined
  readonly developmentPaths: readonly string[]
  readonly values: Readonly<Record<string, string>>
}

/** Understands `--name=value`, `--name value` for the names that take one, and a folder; ignores what only the desktop editor knows. */
const parse = (words: readonly string[]): Arguments => {
  const takesValue = [
    'user-data-dir',
    'extensions-dir',
    'extensionTestsPath',
    'extensionDevelopmentPath',
    'install-extension',
  ]
  const developmentPaths: string[] = []
  const values: Record<string, string> = {}
  let folder: string | undefined
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    const [, name, given] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? []
    if (name === undefined) folder ??= word
    else if (takesValue.includes(name)) {
      const value = given ?? words[++at] ?? ''
      if (name === 'extensionDevelopmentPath') developmentPaths.push(value)
      else values[name] = value
    }
  }
  return { folder, developmentPaths, values }
}

const runTests = async ({ folder, developmentPaths, values }: Arguments): Promise<number> => {
  let end: (code: number) => void = () => undefined
  const ended = new Promise<number>((resolve) => (end = resolve))
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)
    process.once(signal, () => {
      end(code)
    })
  const limit = setTimeout(() => {
    end(124)
  }, timeLimitMs)
  // Whoever started this may have been killed: then nobody waits for the tests any more.
  const parent = process.ppid
  const orphaned = setInterval(() => {
    if (process.ppid !== parent) end(129)
  }, 500)
  const environment = Object.entries(process.env).filter(([name]) => passedOn.test(name)) as [string, string][]
  let workbench: Workbench | undefined
  try {
    workbench = await openWorkbench({
      folder,
      userDataFolder: values['user-data-dir'],
      extensionsFolder: values['extensions-dir'],
      extensionDevelopmentPaths: developmentPaths,
      extensionTestsPath: values['extensionTestsPath'],
      extensionEnvironment: Object.fromEntries(environment),
      prepare: async (page) => {
        // The workbench calls these two in place of a console and of ending its own process.
        await page.exposeFunction('codeAutomationExit', end)
        await page.exposeFunction('codeAutomationLog', (level: string, words: unknown[]) => {
          const line = format(...words)
          if (!noise.test(line))
            (level === 'error' || level === 'warn' ? process.stderr : process.stdout).write(`${line}\n`)
        })
        page.on('crash', () => {
          end(70)
        })
      },
    })
    void workbench.serverEnded.then(() => {
      end(72)
    })
    const code = await ended
    if (code === 124 || code === 70 || code === 72) {
      const screenshot = path.join(cacheFolder, 'code-host-failure.png')
      await mkdir(cacheFolder, { recursive: true })
      await workbench.page.screenshot({ path: screenshot }).catch(() => undefined)
      console.error(
        `The editor did not finish the tests (${code}); see ${path.relative(process.cwd(), screenshot)}\n${workbench.log()}`,
      )
    }
    return code
  } finally {
    clearTimeout(limit)
    clearInterval(orphaned)
    await workbench?.close()
  }
}

/**
 * Stands in for the desktop executable of VS Code: takes its arguments, runs the tests in code-server's real extension host with a headless browser as
 * the window, and gives the suite's own exit code; 124 after ten minutes, 70 and 72 when the browser or the server died.
 */
export const runHost = async (words: readonly string[]): Promise<number> => {
  try {
    const parsed = parse(words)
    const vsix = parsed.values['install-extension']
    if (vsix === undefined) return await runTests(parsed)
    await installExtension(vsix, parsed.values['extensions-dir'] ?? path.join(cacheFolder, 'vscode-extensions'))
    return 0
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    return 1
  }
}
