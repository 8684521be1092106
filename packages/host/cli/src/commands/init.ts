import { readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'

const sample = `# What is connected, and what flows where. \`ecokit schema > ecosystem.schema.json\` gives editors completion.
version: 1

# Secrets never stand in this file: name the environment variable that holds them.
# credentials:
#   mlflow-token: { scheme: token, token: '\${env:MLFLOW_TOKEN}' }

partners:
  mlflow:
    connector: mlflow
    config: { trackingUri: 'http://127.0.0.1:5000' }
    # credentials: mlflow-token      # left out: no login
    owner: ml-platform@example.com
    tags: [tracking]
    check: { every: 30s, timeout: 5s }

  lake:
    connector: local
    config: { database: lake.duckdb } # beside this file

pipelines:
  mlflow-to-lake:
    source: mlflow
    sink: lake
    # streams: [experiments, runs]   # left out: all of them
    every: 5m # \`ecokit up\` runs it at start and then at this interval
    reconcile: 24h # how often everything is compared, to find late edits and deletes

server: { host: 127.0.0.1, port: 8000 }
`

const ignored = '.ecokit/'

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

const readIfThere = (path: string): Promise<string | undefined> =>
  readFile(path, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  })

/** Writes the sample, and tells git to leave the state folder alone. */
export const init = async ({ terminal, json, file }: Invocation): Promise<number> => {
  const path = resolve(file)
  await writeFile(path, sample, { flag: 'wx' }).catch((error: unknown) => {
    throw new UsageError(
      codeOf(error) === 'EEXIST'
        ? `${file} is there already. Remove it, or write another with --file`
        : `${file} cannot be written (${String(codeOf(error))}). Name another with --file`,
    )
  })
  const gitignore = join(dirname(path), '.gitignore')
  const before = (await readIfThere(gitignore)) ?? ''
  if (!before.split(/\r?\n/).some((line) => ['.ecokit', ignored, '/.ecokit', '/.ecokit/'].includes(line.trim())))
    await writeFile(gitignore, `${before}${before === '' || before.endsWith('\n') ? '' : '\n'}${ignored}\n`)
  const name = basename(path) === 'ecosystem.yaml' ? '' : ` --file ${file}`
  if (json) await terminal.out(`${JSON.stringify({ file: path, gitignore })}\n`)
  else
    await terminal.out(
      `Wrote ${file}, and ${ignored} into .gitignore.\nNext: edit it, then\n  $ ecokit check${name}\n  $ ecokit up${name}\n`,
    )
  return exits.done
}
