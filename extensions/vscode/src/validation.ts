import path from 'node:path'
import { httpSink } from '@ecokit/connector-http-sink'
import { local } from '@ecokit/connector-local'
import { mlflow } from '@ecokit/connector-mlflow'
import { postgres } from '@ecokit/connector-postgres'
import { parseEcosystem, valueOfField, type Problem } from '@ecokit/registry/file'

/** Only their manifests are used: nothing is opened, and no code of the workspace runs. */
export const connectors = [mlflow, local, postgres, httpSink]

/** A problem as an editor wants it: lines and columns count from 0, the end is exclusive. */
export interface Finding {
  /** The field and what is wrong with it, word for word as the command line and the API say it. */
  readonly message: string
  readonly startLine: number
  readonly startColumn: number
  readonly endLine: number
  readonly endColumn: number
  /** A secret in clear: the field it stands in, and where it should be kept instead. */
  readonly secret?: { readonly field: string; readonly name: string; readonly partner?: string }
}

/** Whether a file is one that `ecokit` reads. */
export const isEcosystemFile = (file: string): boolean => /^ecosystem\.(ya?ml|json)$/.test(path.basename(file))

const finding = ({ field, message, line, column, endLine, endColumn, secret }: Problem): Finding => ({
  message: field === '' ? message : `${field}: ${message}`,
  startLine: line - 1,
  startColumn: column - 1,
  endLine: endLine - 1,
  endColumn: endColumn - 1,
  ...(secret === undefined ? {} : { secret: { field, ...secret } }),
})

export const validate = (text: string, file: string): readonly Finding[] =>
  parseEcosystem(text, { connectors, filename: path.basename(file) }).problems.map(finding)

/** The secret that stands in clear in a field; undefined where there is none any more. */
export const secretIn = (text: string, field: string): string | undefined => {
  const value = valueOfField(text, field)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A reference as it stands in a file of this name. */
export const referenceText = (file: string, kind: 'secret' | 'env', name: string): string =>
  file.endsWith('.json') ? `"\${${kind}:${name}}"` : `'\${${kind}:${name}}'`

/** The usual name of a variable for a secret: `MLFLOW_TOKEN` for `mlflow-token`. */
export const variableFor = (secret: string): string => {
  const name = secret.toUpperCase().replace(/[^A-Z0-9]+/g, '_')
  return /^\d/.test(name) ? `_${name}` : name
}
