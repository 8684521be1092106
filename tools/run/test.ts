// Every check of the house, in the order in which a fault is cheapest to find. `npm test -- --only=unit,lint` runs a part of them.
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { commandStage, runStages, shell, type Outcome, type Stage } from './stages.ts'
import { packedStage } from '../packed/packed.ts'
import { unstableFile } from './unstable.ts'

const root = resolve(import.meta.dirname, '..', '..')
process.chdir(root)
const results = join(root, '.cache', 'results')
mkdirSync(results, { recursive: true })

interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
  }[]
}

const vitest: Stage = {
  name: 'tests',
  doing: 'unit, integration and browser tests with coverage',
  run: async () => {
    const file = join(results, 'vitest.json')
    rmSync(file, { force: true })
    const code = await shell('vitest', [
      'run',
      '--coverage',
      '--reporter=default',
      '--reporter=json',
      '--reporter=./tools/run/unstable.ts',
      `--outputFile.json=${file}`,
    ])
    const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport
    // A file that fails before its first test has no failed test of its own, and still must count.
    const brokenFiles = report.testResults.filter(
      (result) => result.status === 'failed' && !result.assertionResults.some((test) => test.status === 'failed'),
    ).length
    const failed = report.numFailedTests + brokenFiles
    const skipped = report.testResults.flatMap((result) =>
      result.assertionResults
        .filter((test) => ['skipped', 'pending', 'todo'].includes(test.status))
        .map((test) => test.fullName),
    )
    const unstable = JSON.parse(readFileSync(unstableFile, 'utf8')) as readonly string[]
    return { passed: report.numPassedTests, failed: failed === 0 && code !== 0 ? 1 : failed, skipped, unstable }
  },
}

const vscode: Stage = {
  name: 'vscode',
  doing: 'the extension and its VSIX in a real extension host',
  run: async () => {
    const file = join(results, 'vscode.json')
    rmSync(file, { force: true })
    const code = await shell('pnpm', ['--filter', 'ecokit-vscode', 'run', 'test:host'])
    const report = JSON.parse(readFileSync(file, 'utf8')) as Outcome
    return { ...report, failed: report.failed === 0 && code !== 0 ? 1 : report.failed }
  },
}

const stages: readonly Stage[] = [
  commandStage('layers', 'packages need only what stands below them', 'node', 'tools/layers/check.ts'),
  commandStage('build', 'libraries, console and extension', 'turbo', 'run', 'build', '--output-logs=errors-only'),
  commandStage('types', 'sources', 'tsc', '-b'),
  commandStage('test types', 'tests and tools', 'tsc', '-p', 'tsconfig.test.json'),
  commandStage('vscode types', 'the extension', 'tsc', '-p', 'extensions/vscode'),
  commandStage('lint', 'typed rules', 'eslint', '.', '--max-warnings=0'),
  commandStage('format', 'prettier', 'prettier', '--check', '--log-level=warn', '.'),
  commandStage('knip', 'nothing unused', 'knip'),
  vitest,
  packedStage,
  vscode,
]

const only = process.argv
  .slice(2)
  .find((argument) => argument.startsWith('--only='))
  ?.slice('--only='.length)
  .split(',')
const unknown = only?.filter((name) => !stages.some((stage) => stage.name === name)) ?? []
if (unknown.length > 0) {
  console.error(`No such check: ${unknown.join(', ')}. There are: ${stages.map((stage) => stage.name).join(', ')}`)
  process.exitCode = 2
} else {
  process.exitCode = await runStages(only === undefined ? stages : stages.filter((stage) => only.includes(stage.name)))
}
