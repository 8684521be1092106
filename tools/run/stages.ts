import { spawn } from 'node:child_process'
import { styleText } from 'node:util'

export interface Outcome {
  readonly passed: number
  readonly failed: number
  /** Tests left out, by name. */
  readonly skipped?: readonly string[]
  /** Tests that passed at the second try only, by name. */
  readonly unstable?: readonly string[]
}
export interface Stage {
  readonly name: string
  /** What it is doing, for the line that is printed before it starts. */
  readonly doing: string
  readonly run: () => Promise<Outcome>
}

/** Runs a command with its output shown; resolves to its exit code. */
export const shell = (command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> =>
  new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: 'inherit',
      env: { ...process.env, ...env },
      shell: process.platform === 'win32',
    })
    child.on('error', (error) => {
      console.error(`${command}: ${error.message}`)
      resolve(127)
    })
    child.on('exit', (code) => {
      resolve(code ?? 1)
    })
  })

/** A stage that is one command and counts as one test. */
export const commandStage = (name: string, doing: string, command: string, ...args: string[]): Stage => ({
  name,
  doing,
  run: async () => ((await shell(command, args)) === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }),
})

const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`

/** Runs every stage in order, also after a failure, and prints the one line that sums them up. Resolves to the exit code. */
export const runStages = async (stages: readonly Stage[]): Promise<number> => {
  const rows: { name: string; outcome: Outcome; time: string }[] = []
  const start = performance.now()
  for (const [index, stage] of stages.entries()) {
    console.log(styleText('bold', `\n[${index + 1}/${stages.length}] ${stage.name}: ${stage.doing}`))
    const since = performance.now()
    let outcome: Outcome
    try {
      outcome = await stage.run()
    } catch (error) {
      console.error(error instanceof Error ? error.message : String(error))
      outcome = { passed: 0, failed: 1 }
    }
    rows.push({ name: stage.name, outcome, time: seconds(since) })
  }
  const passed = rows.reduce((sum, row) => sum + row.outcome.passed, 0)
  const failed = rows.reduce((sum, row) => sum + row.outcome.failed, 0)
  const skipped = rows.flatMap((row) => (row.outcome.skipped ?? []).map((name) => `${row.name}: ${name}`))
  console.log('')
  for (const row of rows) {
    const mark = row.outcome.failed === 0 ? styleText('green', 'ok    ') : styleText('red', 'failed')
    console.log(
      `${mark} ${row.name.padEnd(12)} ${String(row.outcome.passed).padStart(5)} passed ${String(row.outcome.failed).padStart(4)} failed  ${row.time}`,
    )
  }
  for (const name of skipped) console.log(styleText('yellow', `left out: ${name}`))
  for (const { outcome } of rows)
    for (const name of outcome.unstable ?? [])
      console.log(styleText('yellow', `unstable, passed at the second try: ${name}`))
  console.log(`\nall checks in ${seconds(start)}`)
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0 && passed > 0 ? 0 : 1
}
