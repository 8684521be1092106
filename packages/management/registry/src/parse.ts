import type { AnyConnector } from '@ecokit/contracts'
import type { z } from 'zod'
import { checkCredentials, checkName, checkPartner } from './check-partner.ts'
import { checkPipeline } from './check-pipeline.ts'
import { checkTables } from './check-tables.ts'
import type { Written } from './check-tables.ts'
import { checkUnused } from './credentials.ts'
import type { CredentialsReference, Ecosystem, LineageEntry } from './ecosystem.ts'
import { inspect, valueAt } from './explain.ts'
import type { Finding } from './explain.ts'
import { File, Lineage, NamedCredentials, Server } from './shape.ts'
import { collectorUrl, lineageCollector } from './lineage-collector.ts'
import { said } from './pipeline-stream.ts'
import { readSource } from './source.ts'
import type { Problem } from './source.ts'

const maxProblems = 500

const isDefined = <T>(value: T | undefined): value is T => value !== undefined

/** The named entries of a section; an empty section has none. */
const entriesOf = (root: unknown, section: string, findings: Finding[]): readonly (readonly [string, unknown])[] => {
  const value = valueAt(root, [section])
  if (value === undefined || value === null) return []
  if (typeof value === 'object' && !Array.isArray(value)) return Object.entries(value)
  findings.push({ path: [section], at: 'value', message: 'expected a map: a name and a colon for each entry' })
  return []
}

export interface ParseOptions {
  /** The connectors that partners may name; what they declare is what entries are judged by. */
  readonly connectors: readonly AnyConnector[]
  /** What the file is called in later messages. Default `ecosystem.yaml`. */
  readonly filename?: string
}
export interface Parsed {
  /** Present exactly when there are no problems. */
  readonly ecosystem: Ecosystem | undefined
  /** In the order of the file. */
  readonly problems: readonly Problem[]
}

const lineageOf = ({ file, namespace, url, credentials }: z.output<typeof Lineage>): LineageEntry => ({
  file,
  namespace,
  ...said({ url: url === undefined ? undefined : collectorUrl(url), credentials }),
})

/** Reads and judges a whole `ecosystem.yaml` or `.json`: every problem at once, each at its exact place. Does no I/O and never throws. */
export const parseEcosystem = (text: string, { connectors, filename = 'ecosystem.yaml' }: ParseOptions): Parsed => {
  const source = readSource(text)
  const root = source.value ?? {}
  if (source.value === undefined) return { ecosystem: undefined, problems: source.problems }

  const file = inspect(File, root, [])
  const findings: Finding[] = [...file.findings]
  const sections = {
    credentials: entriesOf(root, 'credentials', findings),
    partners: entriesOf(root, 'partners', findings),
    pipelines: entriesOf(root, 'pipelines', findings),
  }

  const credentials = new Map<string, CredentialsReference>()
  const allowed = new Map<string, readonly string[]>()
  for (const [name, raw] of sections.credentials) {
    const at = ['credentials', name]
    const { data, findings: shape } = inspect(NamedCredentials, raw, at)
    findings.push(...checkName('credentials', name, at), ...shape)
    if (data === undefined) continue
    const { hosts, ...reference } = data
    credentials.set(name, reference)
    if (hosts !== undefined) allowed.set(name, hosts)
  }

  const partners = sections.partners.map(([name, raw]) => checkPartner(name, raw, { connectors, credentials }))
  findings.push(...partners.flatMap((partner) => partner.findings))
  const shownTo = valueAt(root, ['lineage', 'credentials'])
  const used = new Set([...sections.partners.map(([, raw]) => valueAt(raw, ['credentials'])), shownTo])
  for (const [name, reference] of credentials)
    if (!used.has(name)) findings.push(...checkUnused(connectors, reference, ['credentials', name]))

  const written: Written[] = []
  const neighbours = { connectors, partners: new Map(sections.partners), tables: new Map<string, string>(), written }
  const pipelines = sections.pipelines.map(([name, raw]) => checkPipeline(name, raw, neighbours))
  findings.push(...pipelines.flatMap((pipeline) => pipeline.findings), ...checkTables(sections.partners, written))

  const server = inspect(Server, valueAt(root, ['server']) ?? {}, ['server'])
  const lineage = inspect(Lineage, valueAt(root, ['lineage']) ?? {}, ['lineage'])
  findings.push(...server.findings, ...lineage.findings)
  if (lineage.data?.credentials !== undefined) {
    const at = ['lineage', 'credentials']
    if (lineage.data.url === undefined)
      findings.push({ path: at, at: 'key', message: 'there is no `url` to show them to; add it, or remove this' })
    findings.push(...checkCredentials(lineageCollector, shownTo, at, { connectors, credentials }))
  }

  const problems = [
    ...source.problems,
    ...findings.map(({ path, message, at, secret }) => ({
      ...source.locate(path, message, at),
      ...(secret === undefined ? {} : { secret }),
    })),
  ]
  // A named reference that several partners use is judged once for each of them.
  const once = new Map(
    problems.map((problem) => [`${problem.line}:${problem.column} ${problem.field} ${problem.message}`, problem]),
  )
  const sorted = [...once.values()].sort((left, right) => left.line - right.line || left.column - right.column)
  if (sorted.length > 0 || server.data === undefined || lineage.data === undefined)
    return { ecosystem: undefined, problems: sorted.slice(0, maxProblems) }
  return {
    ecosystem: {
      version: 1,
      filename,
      credentials: [...credentials].map(([name, reference]) => {
        const hosts = allowed.get(name)
        return { name, reference, ...(hosts === undefined ? {} : { hosts }) }
      }),
      partners: partners.map(({ entry }) => entry).filter(isDefined),
      pipelines: pipelines.map(({ entry }) => entry).filter(isDefined),
      server: server.data,
      lineage: lineageOf(lineage.data),
    },
    problems: [],
  }
}

/** One line for people: `ecosystem.yaml:7:18 partners.mlflow.config.trackingUri: …`. */
export const formatProblem = ({ field, message, line, column }: Problem, filename: string): string =>
  `${filename}:${line}:${column} ${field === '' ? '' : `${field}: `}${message}`

/** The value of a field in a text, by the dotted path that a problem names; undefined where there is none. For an editor that moves a secret elsewhere. */
export const valueOfField = (text: string, field: string): unknown => valueAt(readSource(text).value, field.split('.'))
