import { dirname, relative } from 'node:path'
import { styleText } from 'node:util'

/** What the summary needs of a run, as the API and `ecokit sync --json` give it. */
export interface SyncedRun {
  readonly id: string
  readonly status: string
  readonly startedAt: string
  readonly endedAt?: string | null
  readonly error?: { readonly message: string }
  readonly streams: readonly {
    readonly stream: string
    readonly mode: string
    readonly status: string
    readonly read: number
    readonly written: number
    readonly quarantined: number
    readonly requests: number
    readonly error?: { readonly message: string }
  }[]
}

const queries = (lake: string): readonly string[] =>
  [
    `SELECT name, count(*) AS runs FROM runs JOIN experiments USING (experiment_id) GROUP BY name ORDER BY runs DESC`,
    `SELECT run_name, metrics['accuracy'] AS accuracy FROM runs WHERE metrics['accuracy'] IS NOT NULL ORDER BY accuracy DESC LIMIT 5`,
    `SELECT key, count(*) AS points, min(value) AS best FROM metrics WHERE key LIKE '%loss%' GROUP BY key`,
  ].map((query) => `duckdb ${lake} "${query}"`)

/** Rows per stream, duration, where the lake is, and three queries to try. */
export const printSummary = (run: SyncedRun, lakeFile: string): void => {
  const lake = relative(process.cwd(), lakeFile)
  const took =
    run.endedAt == null ? '' : ` in ${((Date.parse(run.endedAt) - Date.parse(run.startedAt)) / 1000).toFixed(1)} s`
  const colour = run.status === 'completed' ? 'green' : 'red'
  console.log(`\n${styleText(colour, `Sync ${run.status}`)}${took}`)
  console.log(
    `  ${'stream'.padEnd(20)}${'read'.padStart(9)}${'written'.padStart(9)}${'quarantined'.padStart(13)}${'requests'.padStart(10)}  pass`,
  )
  for (const row of run.streams) {
    console.log(
      `  ${row.stream.padEnd(20)}${String(row.read).padStart(9)}${String(row.written).padStart(9)}${String(row.quarantined).padStart(13)}${String(row.requests).padStart(10)}  ${row.mode}`,
    )
    if (row.error !== undefined) console.log(styleText('red', `    ${row.error.message}`))
  }
  if (run.error !== undefined) console.log(styleText('red', `  ${run.error.message}`))
  console.log(`\nThe lake: ${lake}`)
  if (run.status !== 'completed') return
  console.log(
    `Look at it:\n  npm run ecokit -- read lake runs --limit 5 --file ${relative(process.cwd(), dirname(lakeFile))}/ecosystem.yaml\nThree queries to try, with DuckDB's own command line:`,
  )
  for (const query of queries(lake)) console.log(`  ${query}`)
  console.log('')
}
