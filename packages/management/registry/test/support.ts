import { formatProblem, parseEcosystem } from '../src/file.ts'
import type { Ecosystem } from '../src/file.ts'
import { connectors } from './connectors.ts'

export const sample = `version: 1
credentials:
  tracker-token: { scheme: token, token: '\${env:TRACKER_TOKEN}' }
partners:
  tracking:
    connector: tracker
    config: { trackingUri: http://127.0.0.1:5001 }
    credentials: tracker-token
    tier: enterprise
    owner: ml-platform@example.com
    tags: [tracking]
    contract: { start: 2026-01-01, end: 2027-01-01 }
    check: { every: 30s, timeout: 5s }
  lake:
    connector: lake
    config: { database: lake.duckdb }
pipelines:
  tracking-to-lake:
    source: tracking
    sink: lake
    streams:
      runs: { mode: incremental, disposition: merge, lag: 10m, table: all_runs }
      metrics:
    every: 5m
  to-files:
    source: tracking
    sink: lake.parquet
    streams: [runs]
    reconcile: never
server: { host: 127.0.0.1, port: 8001 }
lineage: { namespace: test }
`

export const parse = (text: string, filename = 'ecosystem.yaml') => parseEcosystem(text, { connectors, filename })

/** The ecosystem of a text that has no problems. */
export const good = (text: string): Ecosystem => {
  const { ecosystem, problems } = parse(text)
  if (ecosystem === undefined) throw new Error(problems.map((problem) => formatProblem(problem, 'test')).join('\n'))
  return ecosystem
}

/** Takes the marks «» out of a text and says where they stood, counted as editors do. */
export const marked = (text: string) => {
  const places: { line: number; column: number }[] = []
  let [clean, line, column] = ['', 1, 1]
  for (const character of text) {
    if (character === '«' || character === '»') places.push({ line, column })
    else {
      clean += character
      column += character.length
      if (character === '\n') [line, column] = [line + 1, 1]
    }
  }
  const [start, end] = places
  return {
    text: clean,
    range: { line: start?.line, column: start?.column, endLine: end?.line, endColumn: end?.column },
  }
}
