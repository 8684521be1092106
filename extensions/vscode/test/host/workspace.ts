import { chmod, mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'

const mistypedYaml = `version: 1
partners:
  mlflow:
    connector: mlflow
    config: { trackingUrl: 'http://127.0.0.1:5001' }
`
const mistypedJson = `{
  "version": 1,
  "partners": {
    "lake": { "connector": "local", "config": { "databse": "lake.duckdb" } }
  }
}
`

/** What stands in clear in a file of the workspace until a fix moves it. */
export const plainSecret = 'canary #1 in-clear'
const secretYaml = `version: 1
partners:
  mlflow:
    connector: mlflow
    config: { trackingUri: 'http://127.0.0.1:5001' }
    credentials: { scheme: token, token: '${plainSecret}' }
`
const commandLine = path.resolve(import.meta.dirname, '../../../../packages/host/cli/src/bin.ts')

/** A folder with a secret in clear, and an installed `ecokit` that writes down its arguments. */
const writeSecrets = async (folder: string): Promise<void> => {
  const programs = path.join(folder, 'node_modules', '.bin')
  await mkdir(programs, { recursive: true })
  await writeFile(path.join(folder, 'ecosystem.yaml'), secretYaml)
  const program = path.join(programs, 'ecokit')
  await writeFile(
    program,
    `#!/bin/sh\nprintf '%s\\n' "$@" >> '${path.join(folder, 'arguments.txt')}'\nexec '${process.execPath}' '${commandLine}' "$@"\n`,
  )
  await chmod(program, 0o755)
}

/** A folder to open: the ecosystem that the server runs, and beside it files with one mistake each. */
export const writeWorkspace = async (folder: string, ecosystem: string): Promise<void> => {
  const mistyped = path.join(folder, 'mistyped')
  await mkdir(path.join(mistyped, 'again'), { recursive: true })
  await writeFile(path.join(folder, 'ecosystem.yaml'), ecosystem)
  await writeFile(path.join(mistyped, 'ecosystem.yaml'), mistypedYaml)
  await writeFile(path.join(mistyped, 'ecosystem.json'), mistypedJson)
  await writeFile(path.join(mistyped, 'again', 'ecosystem.yaml'), mistypedYaml)
  await writeFile(path.join(mistyped, 'other.yaml'), mistypedYaml)
  await writeSecrets(path.join(folder, 'secrets'))
}

/** The sample that the screenshots show and the fixture server pretends to run. */
export const sampleEcosystem = `version: 1

partners:
  mlflow:
    connector: mlflow
    config: { trackingUri: 'http://127.0.0.1:5001' }
    owner: ml-platform@example.com
    check: { every: 10s, timeout: 5s }

  mlflow-prod:
    connector: mlflow
    config: { trackingUri: 'https://mlflow.example.com' }
    tier: enterprise
    owner: ml-platform@example.com

  lake:
    connector: local
    config: { database: lake.duckdb }

pipelines:
  mlflow-to-lake:
    source: mlflow
    sink: lake
    every: 5m
`
