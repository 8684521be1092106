import { mkdir, writeFile } from 'node:fs/promises'
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

/** A folder to open: the ecosystem that the server runs, and beside it files with one mistake each. */
export const writeWorkspace = async (folder: string, ecosystem: string): Promise<void> => {
  const mistyped = path.join(folder, 'mistyped')
  await mkdir(path.join(mistyped, 'again'), { recursive: true })
  await writeFile(path.join(folder, 'ecosystem.yaml'), ecosystem)
  await writeFile(path.join(mistyped, 'ecosystem.yaml'), mistypedYaml)
  await writeFile(path.join(mistyped, 'ecosystem.json'), mistypedJson)
  await writeFile(path.join(mistyped, 'again', 'ecosystem.yaml'), mistypedYaml)
  await writeFile(path.join(mistyped, 'other.yaml'), mistypedYaml)
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
