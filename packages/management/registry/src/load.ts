import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { integrationError } from '@ecokit/contracts'
import type { AnyConnector } from '@ecokit/contracts'
import type { Ecosystem } from './ecosystem.ts'
import { formatProblem, parseEcosystem } from './parse.ts'

/** Reads the file and throws `invalid_config` with one line for each problem: `ecosystem.yaml:7:18 partners.mlflow.config.trackingUri: …`. */
export const loadEcosystem = async (path: string, connectors: readonly AnyConnector[]): Promise<Ecosystem> => {
  const filename = basename(path)
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const what = code === 'ENOENT' ? `there is no file ${path}` : `${path} cannot be read (${code})`
    throw integrationError('invalid_config', {
      what,
      next: 'Name another file, or make one with `ecokit init`',
      details: { field: '' },
    })
  })
  const { ecosystem, problems } = parseEcosystem(text, { connectors, filename })
  if (ecosystem !== undefined) return ecosystem
  throw integrationError('invalid_config', {
    what: problems.map((problem) => formatProblem(problem, filename)).join('\n'),
    details: { field: problems[0]?.field ?? '' },
  })
}
