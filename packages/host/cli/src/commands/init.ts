import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { isIntegrationError } from '@ecokit/contracts'
import { withSafe } from '../open.ts'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'

const sample = `# What is connected, and what flows where. \`ecokit schema > ecosystem.schema.json\` gives editors completion.
version: 1

# Secrets never stand in this file. \`ecokit vault set mlflow-token\` keeps one, and this says where it is used;
# \${env:MLFLOW_TOKEN} and \${file:/run/secrets/mlflow} work as well.
# credentials:
#   mlflow-token: { scheme: token, token: '\${secret:mlflow-token}' }

partners:
  mlflow:
    connector: mlflow
    config: { trackingUri: 'http://127.0.0.1:5000' }
    # credentials: mlflow-token      # left out: no login
    owner: ml-platform@example.com
    tags: [tracking]
    check: { every: 30s, timeout: 5s }
    # policy: { rate: { perSecond: 20 }, concurrency: 8 }   # left out: what the connector says

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

const writeSample = async (path: string): Promise<boolean> => {
  try {
    await writeFile(path, sample, { flag: 'wx' })
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw new UsageError(`${path} cannot be written (${String(codeOf(error))}). Name another with --file`)
  }
}

/** Tells git to leave the state folder alone, and the vault's key with it. */
const ignoreState = async (folder: string): Promise<string> => {
  const gitignore = join(folder, '.gitignore')
  const before = (await readIfThere(gitignore)) ?? ''
  if (!before.split(/\r?\n/).some((line) => ['.ecokit', ignored, '/.ecokit', '/.ecokit/'].includes(line.trim())))
    await writeFile(gitignore, `${before}${before === '' || before.endsWith('\n') ? '' : '\n'}${ignored}\n`)
  return gitignore
}

/** A vault that is there opens with the key it had and no other: a new one beside it would only hide that the old one is missing. */
const refuseWrongKey = async (invocation: Invocation, where: string): Promise<void> => {
  try {
    await withSafe(invocation, (safe) => safe.vault())
  } catch (error) {
    if (!isIntegrationError(error, 'invalid_config')) throw error
    await rm(where, { force: true })
    const folder = dirname(where)
    throw new UsageError(
      `there is a vault already, whose key is missing, so no new key was made: put the old one back as ${where}. If it is lost for good, so are the secrets: move ${join(folder, 'state.db')} and ${join(folder, 'state.db.audit-heads')} away, and run this again`,
    )
  }
}

/** Writes the sample and the vault's key, whichever is not there yet, and tells git to leave the state folder alone. */
export const init = async (invocation: Invocation): Promise<number> => {
  const { terminal, json, file } = invocation
  const path = resolve(file)
  const written = await writeSample(path)
  const gitignore = await ignoreState(dirname(path))
  const { makeVaultKey, stateFolderOf } = await import('@ecokit/server/ecosystem')
  const hadState = existsSync(join(stateFolderOf(path), 'state.db'))
  const key = await makeVaultKey(path)
  if (key.made && hadState) await refuseWrongKey(invocation, key.where)
  if (!written && !key.made) throw new UsageError(`${file} is there already. Remove it, or write another with --file`)
  const name = path === resolve('ecosystem.yaml') ? '' : ` --file ${file}`
  if (json)
    await terminal.out(
      `${JSON.stringify({ file: path, written, gitignore, key: { kind: key.kind, where: key.where, made: key.made } })}\n`,
    )
  else
    await terminal.out(
      [
        written ? `Wrote ${file}, and ${ignored} into .gitignore.\n` : `${file} is there already and stays as it is.\n`,
        key.made
          ? `Made the key of the vault: ${key.where}. Keep a copy in a safe place: without it nobody reads what the vault holds.\n`
          : key.kind === 'file'
            ? ''
            : `The key of the vault comes from ${key.where}.\n`,
        written ? `Next: edit it, then\n  $ ecokit check${name}\n  $ ecokit up${name}\n` : '',
      ].join(''),
    )
  return exits.done
}
