import path from 'node:path'
import { local } from '@ecokit/connector-local'
import { mlflow } from '@ecokit/connector-mlflow'
import { parseEcosystem, type Problem } from '@ecokit/registry/file'

/** Only their manifests are used: nothing is opened, and no code of the workspace runs. */
export const connectors = [mlflow, local]

/** A problem as an editor wants it: lines and columns count from 0, the end is exclusive. */
export interface Finding {
  /** The field and what is wrong with it, word for word as the command line and the API say it. */
  readonly message: string
  readonly startLine: number
  readonly startColumn: number
  readonly endLine: number
  readonly endColumn: number
}

/** Whether a file is one that `ecokit` reads. */
export const isEcosystemFile = (file: string): boolean => /^ecosystem\.(ya?ml|json)$/.test(path.basename(file))

const finding = ({ field, message, line, column, endLine, endColumn }: Problem): Finding => ({
  message: field === '' ? message : `${field}: ${message}`,
  startLine: line - 1,
  startColumn: column - 1,
  endLine: endLine - 1,
  endColumn: endColumn - 1,
})

export const validate = (text: string, file: string): readonly Finding[] =>
  parseEcosystem(text, { connectors, filename: path.basename(file) }).problems.map(finding)
