// The tools that people use for the same job, on the same page server and in the same rounds, each in a process of its own from its start on; what they wrote is compared row by row.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { pythonIn, type Environment } from '@ecokit/peers'
import { interleave, type Row, type Sample } from './measure.ts'

const here = (name: string): string => join(import.meta.dirname, 'others', name)
const environment = (name: string, title: string): Environment => ({
  title,
  takes: 'a minute or two',
  folder: join(import.meta.dirname, '..', '..', '.cache', `bench-${name}`),
  requirements: here(`${name}.txt`),
})
const say = { progress: (message: string) => process.stderr.write(`  ${message}\n`) }

/** Runs commands joined by `|` and measures the whole. */
const timed = async (python: string, command: readonly string[], folder: string, count: number): Promise<Sample> => {
  const child = spawn(python, [here('timed.py'), ...command], {
    cwd: folder,
    // The worker processes of dlt and the rest keep to the folder; what they print is of use only when they fail.
    env: { ...process.env, HOME: folder, TMPDIR: folder, DO_NOT_TRACK: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [text, errors] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
  child.stderr.setEncoding('utf8').on('data', (part: string) => (errors = (errors + part).slice(-4000)))
  await once(child, 'close')
  const line = text.trim().split('\n').at(-1) ?? ''
  const { failed, ...measured } = JSON.parse(line === '' ? '{"failed":true}' : line) as Sample & { failed: boolean }
  if (failed) throw new Error(`${command.join(' ')} failed: ${errors}`)
  return { ...measured, count }
}

const plain =
  'id, seq, updated_at_ms, experiment_id, name, status, "user", duration_ms, accuracy, loss, epoch, best, note'
const flat = `SELECT ${plain}, tags__team AS team, tags__stage AS stage, tags__region AS region FROM`
const struct = `SELECT ${plain}, tags.team AS team, tags.stage AS stage, tags.region AS region FROM`
const blob = `SELECT ${plain}, tags->>'team' AS team, tags->>'stage' AS stage, tags->>'region' AS region FROM`

interface Other {
  readonly command: (folder: string) => readonly string[]
  /** All rows that it wrote, in 16 columns of one order. */
  readonly rows: (folder: string) => string
  /** A database file that the rows stand in. */
  readonly database?: string
}

/** Count, and the sum of the rows' hashes over values in one form, so that the order does not matter. */
const fingerprint = async (folder: string, { rows, database }: Other): Promise<string> => {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  if (database !== undefined) await connection.run(`ATTACH '${join(folder, database)}' AS found (READ_ONLY)`)
  const whole = ['seq', 'updated_at_ms', 'duration_ms', 'epoch'].map((name) => `${name}::BIGINT AS ${name}`)
  const found = await connection.runAndReadAll(
    `SELECT count(*), count(DISTINCT id), sum(seq)::VARCHAR, sum(hash(COLUMNS(*)::VARCHAR))::VARCHAR FROM (SELECT * REPLACE (${whole.join(', ')}, round(accuracy::DOUBLE, 9) AS accuracy, round(loss::DOUBLE, 9) AS loss) FROM (${rows(folder)}))`,
  )
  connection.closeSync()
  instance.closeSync()
  return JSON.stringify(found.getRowsJson())
}

export interface OthersOptions {
  readonly url: string
  readonly rows: string
  readonly rounds: number
  readonly scratch: string
  /** pages.ts among installed packages. */
  readonly pages: string
  /** The variants of pages.ts that run beside them, by title. */
  readonly ours: Readonly<Record<string, string>>
}

/** Runs every tool in every round; throws when one wrote something else than the others. */
export const others = async ({ url, rows, rounds, scratch, pages, ours }: OthersOptions): Promise<readonly Row[]> => {
  const dlt = await pythonIn(environment('dlt', 'dlt'), say)
  const airbyte = await pythonIn(environment('airbyte', "Airbyte's CDK and PyAirbyte"), say)
  const singer = await pythonIn(environment('singer', "Singer's SDK"), say)
  const target = await pythonIn(environment('target', "Singer's target-duckdb"), say)
  const lake = (folder: string): string =>
    `${flat} read_parquet(${JSON.stringify(globSync('lake/bench/rows/*.parquet', { cwd: folder }).map((file) => join(folder, file))).replaceAll('"', "'")})`
  const dltWay = (way: string) => (folder: string) => [dlt, here('dlt_pages.py'), way, url, folder]
  const tools: Readonly<Record<string, Other>> = {
    ...Object.fromEntries(
      Object.entries(ours).map(([title, variant]): [string, Other] => [
        title,
        {
          command: (folder) => [process.execPath, pages, variant, url, rows, join(folder, 'out')],
          rows: (folder) => `${struct} read_parquet('${folder}/out/**/*.parquet', hive_partitioning = false)`,
        },
      ]),
    ),
    'dlt, its default: DuckDB': {
      command: dltWay('default'),
      rows: () => `${flat} found.bench.rows`,
      database: 'rows.duckdb',
    },
    'dlt, tuned: Parquet, 2 workers': { command: dltWay('tuned'), rows: lake },
    'dlt, Arrow tables made by hand': { command: dltWay('arrow'), rows: lake },
    'Airbyte CDK declarative: DuckDB (*)': {
      command: (folder) => [airbyte, here('airbyte_pages.py'), url, folder],
      rows: () => `${blob} found.bench.rows`,
      database: 'rows.duckdb',
    },
    'Singer SDK, msgspec | target-duckdb (*)': {
      command: (folder) => [
        singer,
        here('singer_pages.py'),
        url,
        '|',
        join(target, '..', 'target-duckdb'),
        '--config',
        join(folder, 'target.json'),
      ],
      rows: () => `${blob} found.bench.rows`,
      database: 'rows.duckdb',
    },
  }
  let folders = 0
  const prints = new Map<string, string>()
  const variant = (title: string, tool: Other) => async (): Promise<Sample> => {
    const folder = join(scratch, `others-${folders++}`)
    mkdirSync(folder)
    const file = join(folder, 'rows.duckdb')
    writeFileSync(
      join(folder, 'target.json'),
      JSON.stringify({ path: file, filepath: file, database: 'rows', default_target_schema: 'bench' }),
    )
    const measured = await timed(dlt, tool.command(folder), folder, Number(rows))
    prints.set(title, await fingerprint(folder, tool))
    rmSync(folder, { recursive: true, force: true })
    return measured
  }
  const found = await interleave(
    rounds,
    Object.fromEntries(Object.entries(tools).map(([title, tool]) => [title, variant(title, tool)])),
  )
  const [first] = prints.values()
  const different = [...prints].filter(([, print]) => print !== first).map(([title, print]) => `${title}: ${print}`)
  if (different.length > 0) throw new Error(`not the same rows as ${first ?? ''}:\n${different.join('\n')}`)
  return found
}
