// Speed and memory, each beside a bare loop in the same rounds. `pnpm bench [calls|pages|mlflow|imports|vault …] [--rows N] [--rounds N] [--json]`
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { packAll, run } from '@ecokit/packed'
import { runPython, startMlflow } from '@ecokit/peers'
import { interleave, print, sample, summarise, type Summary } from './measure.ts'
import { others } from './others.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string', default: '1000000' },
    calls: { type: 'string', default: '40000' },
    runs: { type: 'string', default: '3000' },
    records: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const scratch = mkdtempSync(join(tmpdir(), 'ecokit-bench-'))

const withServer = async <T>(rows: number, use: (url: string) => Promise<T>): Promise<T> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'server.ts'), String(rows)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string]
  try {
    return await use(line.trim())
  } finally {
    child.kill()
  }
}

const calls = (inFlight: string) => () =>
  withServer(1000, async (url) =>
    summarise(
      await interleave(rounds, {
        'bare undici.request, JSON': () => sample('calls.ts', ['undici', url, values.calls, inFlight]),
        'connect: operation': () => sample('calls.ts', ['connect', url, values.calls, inFlight]),
      }),
    ),
  )

let installing: Promise<string> | undefined
/** A folder with the packages as published and installed: in the workspace, Node would compile TypeScript first, which costs time and memory. */
const installed = (): Promise<string> =>
  (installing ??= (async () => {
    const folder = join(scratch, 'installed')
    mkdirSync(folder)
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    process.stderr.write('  packing and installing\n')
    const tarballs = (await packAll()).filter(({ name }) => !name.endsWith('/cli')).map(({ tarball }) => tarball)
    const done = await run(
      'npm',
      ['install', '--no-audit', '--no-fund', '--ignore-scripts', 'zod@4', 'undici@8', ...tarballs],
      folder,
    )
    if (done.code !== 0) throw new Error(done.output)
    return folder
  })())
/** A file of this folder, as JavaScript among the installed packages. */
const beside = async (name: string): Promise<string> => {
  const folder = await installed()
  for (const one of [name, 'measure.ts']) {
    const text = stripTypeScriptTypes(readFileSync(join(import.meta.dirname, one), 'utf8'))
    writeFileSync(join(folder, one.replace('.ts', '.mjs')), text.replaceAll("'./measure.ts'", "'./measure.mjs'"))
  }
  return join(folder, name.replace('.ts', '.mjs'))
}

let folders = 0
const pages = (): Promise<readonly Summary[]> =>
  withServer(Number(values.rows), async (url) => {
    const file = await beside('pages.ts')
    const variant = (name: string) => async () => {
      const folder = join(scratch, String(folders++))
      const measured = await sample(file, [name, url, values.rows, folder])
      rmSync(folder, { recursive: true, force: true })
      return measured
    }
    return summarise(
      await interleave(rounds, {
        'bare split + DuckDB (no check)': variant('split'),
        'the same, COPY overlapped': variant('split-overlapped'),
        'bare JSON.parse + zod, no sink': variant('objects'),
        'flow: proven segments': variant('segments'),
        'flow: filled vectors': variant('flow'),
        'flow: 1% of bad records': variant('bad'),
        'flow: incremental, by its cursor': variant('incremental'),
        'flow: the same, commit each 10,000': variant('checkpoints'),
      }),
      {
        'flow: 1% of bad records': 'flow: filled vectors',
        'flow: the same, commit each 10,000': 'flow: incremental, by its cursor',
      },
    )
  })

const mlflow = async (): Promise<readonly Summary[]> => {
  const folder = join(scratch, 'mlflow')
  mkdirSync(folder)
  await using server = await startMlflow({ folder })
  process.stderr.write(`  logging ${values.runs} runs\n`)
  await runPython(join(import.meta.dirname, 'log-runs.py'), [server.url, values.runs])
  return summarise(
    await interleave(rounds, {
      'bare undici + JSON.parse': () => sample('mlflow.ts', ['undici', server.url]),
      'connector: stream of runs': () => sample('mlflow.ts', ['stream', server.url]),
    }),
  )
}

const imports = async (): Promise<readonly Summary[]> => {
  const folder = await installed()
  const variant = (name: string) => () => sample('imports.ts', [folder, name])
  return summarise(
    await interleave(rounds, {
      'zod alone': variant('zod'),
      'undici alone': variant('undici'),
      '@ecokit/connector-mlflow': variant('@ecokit/connector-mlflow'),
      '@ecokit/connector-local': variant('@ecokit/connector-local'),
    }),
  )
}

/** Each name is a variant of vault.ts; the first is what the others are compared with. */
const vault = (count: string, variants: Readonly<Record<string, string>>) => async (): Promise<readonly Summary[]> =>
  summarise(
    await interleave(
      rounds,
      Object.fromEntries(
        Object.entries(variants).map(([title, variant]) => [
          title,
          async () => {
            const folder = join(scratch, String(folders++))
            const measured = await sample('vault.ts', [variant, count, folder])
            rmSync(folder, { recursive: true, force: true })
            return measured
          },
        ]),
      ),
    ),
  )

const audit = async (): Promise<readonly Summary[]> => {
  const folder = join(scratch, 'audit')
  mkdirSync(folder)
  process.stderr.write(`  writing ${values.rows} entries\n`)
  await sample('audit.ts', ['fill', values.rows, folder])
  const variant = (name: string) => () => sample('audit.ts', [name, values.rows, folder])
  return summarise(
    await interleave(rounds, {
      'bare createHash loop, no database': variant('create-hash'),
      'bare crypto.hash loop, no database': variant('hash'),
      'audit: verify': variant('verify'),
      'audit: export and verify that': variant('export'),
    }),
  )
}

const suites: Readonly<
  Record<string, readonly { title: string; unit: string; run: () => Promise<readonly Summary[]> }[]>
> = {
  calls: [
    { title: 'Calls, 32 in flight (goal B2: CPU at most 1.6 x bare)', unit: 'calls', run: calls('32') },
    { title: 'Calls, one at a time (goal B2: at most 30 us more at the median)', unit: 'calls', run: calls('1') },
  ],
  pages: [
    {
      title: `REST pages to Parquet, ${values.rows} rows (goal B1 of the sync engine: 0.9 of the raw split by CPU)`,
      unit: 'rows',
      run: pages,
    },
  ],
  others: [
    {
      title: `The same job by the tools that people use, ${values.rows} rows, from the start of the process; (*) keeps tags as JSON text`,
      unit: 'rows',
      run: () =>
        withServer(Number(values.rows), async (url) =>
          summarise(
            await others({
              url,
              rows: values.rows,
              rounds,
              scratch,
              pages: await beside('pages.ts'),
              ours: { 'bare split + DuckDB (no check)': 'split', 'flow: connector to Parquet': 'flow' },
            }),
          ),
        ),
    },
  ],
  mlflow: [{ title: `Runs of a real MLflow server, ${values.runs} runs`, unit: 'rows', run: mlflow }],
  vault: [
    {
      title: 'Vault reads of 200 bytes (goal B8: 0.6 of a bare decrypt, audited 0.35)',
      unit: 'reads',
      run: vault('500000', {
        'bare decrypt, key in memory': 'decrypt',
        'open of an envelope': 'open',
        'get, asked again within a second': 'default',
        'the same, audited': 'default-audited',
      }),
    },
    {
      title: 'Vault reads, each from the database',
      unit: 'reads',
      run: vault('100000', {
        'bare SELECT + decrypt': 'bare-database',
        'get, each from the database': 'database',
        'the same, audited': 'database-audited',
      }),
    },
    {
      title: 'Vault reads, an audit entry for each (auditWindowMs 0)',
      unit: 'reads',
      run: vault('2000', { 'get, counted into one entry': 'default-audited', 'get, an entry each': 'audited-each' }),
    },
    {
      title: `Rotation of the data key, ${values.records} records (goal A8: at most 3 x the bare loop)`,
      unit: 'rows',
      run: vault(values.records, {
        'bare decrypt + encrypt, no database': 'reencrypt',
        'bare SQLite, decrypt + encrypt': 'reencrypt-database',
        'vault.rotate': 'rotate',
      }),
    },
  ],
  audit: [
    {
      title: `Audit log, ${values.rows} entries verified (goal A9: at most 2 x the bare hash loop)`,
      unit: 'entries',
      run: audit,
    },
  ],
  imports: [{ title: 'Cold import (goal B3: at most 1.2 x zod alone)', unit: 'imports', run: imports }],
}
const chosen = positionals.length === 0 ? Object.keys(suites) : positionals
const unknown = chosen.filter((name) => suites[name] === undefined)
if (unknown.length > 0) {
  console.error(`No such bench: ${unknown.join(', ')}. There are: ${Object.keys(suites).join(', ')}`)
  process.exit(2)
}
try {
  const results: Record<string, readonly Summary[]> = {}
  for (const suite of chosen.flatMap((name) => suites[name] ?? [])) {
    process.stderr.write(`${suite.title}\n`)
    const rows = await suite.run()
    results[suite.title] = rows
    if (!values.json) print(suite.title, suite.unit, rows)
  }
  const document = {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    cores: availableParallelism(),
    rounds,
    results,
  }
  if (values.json) console.log(JSON.stringify(document, undefined, 2))
  else
    writeFileSync(join(import.meta.dirname, `${chosen.join('-')}.json`), `${JSON.stringify(document, undefined, 2)}\n`)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
