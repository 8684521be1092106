import { writeFile } from 'node:fs/promises'
import Mocha from 'mocha'

/** What a run leaves for the process that started it. */
export interface HostResults {
  readonly passed: readonly string[]
  readonly failures: readonly { readonly title: string; readonly message: string }[]
}

/** The module that the extension host calls. Test files register themselves as mocha's global functions come up, so they are loaded here and not above. */
export const run = async (): Promise<void> => {
  const mocha = new Mocha({ ui: 'tdd', timeout: 240_000, reporter: 'spec', color: false })
  mocha.suite.emit('pre-require', globalThis, '', mocha)
  await import('./partners.ts')
  await import('./editor.ts')
  await import('./secrets.ts')
  if (process.env['ECOKIT_TEST_WORLD'] === 'fixture') await import('./console.ts')
  const passed: string[] = []
  const failures: { title: string; message: string }[] = []
  await new Promise<void>((resolve) => {
    const runner = mocha.run(() => {
      resolve()
    })
    runner.on('pass', (test) => passed.push(test.fullTitle()))
    runner.on('fail', (test, error: Error) => failures.push({ title: test.fullTitle(), message: error.message }))
  })
  const results: HostResults = { passed, failures }
  await writeFile(process.env['ECOKIT_TEST_RESULTS'] ?? 'vscode-tests.json', JSON.stringify(results))
  if (failures.length > 0) throw new Error(`${failures.length} tests failed`)
}
