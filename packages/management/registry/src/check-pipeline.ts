import type { AnyConnector, Manifest, Sink } from '@ecokit/contracts'
import { z } from 'zod'
import { checkName, findConnector } from './check-partner.ts'
import { checkStream } from './check-stream.ts'
import type { Placed, Report } from './check-stream.ts'
import type { Written } from './check-tables.ts'
import type { PipelineEntry, ScheduleEntry, SchemaContractEntry } from './ecosystem.ts'
import { inspect, valueAt } from './explain.ts'
import type { Finding } from './explain.ts'
import type { Schedule } from './pipeline-shape.ts'
import { Pipeline, StreamOptions } from './pipeline-shape.ts'
import { said, toStreamEntry } from './pipeline-stream.ts'
import type { Path } from './source.ts'
import { quote, unknownWord } from './suggest.ts'

/** The file's partners as they were written: the connector of each is known only where it is installed. */
export interface Neighbours {
  readonly connectors: readonly AnyConnector[]
  readonly partners: ReadonlyMap<string, unknown>
  /** Which `pipeline/stream` writes which table; filled as pipelines are checked. */
  readonly tables: Map<string, string>
  /** What is written where; filled as pipelines are checked. */
  readonly written: Written[]
}

interface Found {
  readonly partner: string
  /** Absent where the connector is not installed. */
  readonly manifest: Manifest | undefined
}
interface Target extends Found {
  readonly sinkName: string
  readonly sink: Sink
}

const findPartner = (
  name: unknown,
  at: Path,
  { connectors, partners }: Neighbours,
  report: Report,
): Found | undefined => {
  if (typeof name !== 'string' || name === '') return undefined
  if (!partners.has(name)) {
    report(at, unknownWord('partner', name, [...partners.keys()], 'partners in this file'))
    return undefined
  }
  return { partner: name, manifest: findConnector(connectors, valueAt(partners.get(name), ['connector']))?.manifest }
}

const findTarget = (text: unknown, at: Path, neighbours: Neighbours, report: Report): Target | undefined => {
  const [name, wanted] = typeof text === 'string' ? text.split(/\.(.*)/, 2) : []
  const found = findPartner(name, at, neighbours, report)
  if (found?.manifest === undefined) return undefined
  const sinks = Object.entries(found.manifest.sinks ?? {})
  const who = `partner ${quote(found.partner)} (connector ${quote(found.manifest.id)})`
  const [sinkName, sink] = sinks.find(([key]) => wanted === undefined || key === wanted) ?? []
  if (sinkName !== undefined && sink !== undefined) return { ...found, sinkName, sink }
  const names = sinks.map(([key]) => key)
  if (names.length === 0) report(at, `${who} has no sinks: nothing can be written to it`)
  else report(at, unknownWord('sink', wanted ?? '', names, `sinks of ${who}`))
  return undefined
}

/** The streams as they were written, with the place of each; undefined where the file names none. */
const readStreams = (given: unknown, at: Path, report: Report): readonly Placed[] | undefined => {
  if (given === undefined || given === null) return undefined
  const names = Array.isArray(given) ? given : Object.keys(given)
  if (typeof given !== 'object' || names.length === 0) {
    report(at, 'expected a list of stream names, or a map of names to options; remove it to take all streams')
    return []
  }
  const placed: Placed[] = []
  for (const [index, stream] of names.entries()) {
    const path = [...at, Array.isArray(given) ? index : String(stream)]
    if (typeof stream !== 'string' || stream === '') report(path, 'expected the name of a stream')
    else if (placed.some(({ wanted }) => wanted.stream === stream))
      report(path, `stream ${quote(stream)} stands here twice; remove one`)
    else {
      const { data = {}, findings } = inspect(StreamOptions, valueAt(given, [stream]) ?? {}, path)
      for (const finding of findings) report(finding.path, finding.message, finding.at)
      placed.push({ wanted: toStreamEntry(stream, data), path })
    }
  }
  return placed
}

/** Two streams into one table would overwrite each other. Sinks of a fixed shape have no tables. */
const claimTable = (
  { wanted, path }: Placed,
  pipeline: string,
  target: Target,
  neighbours: Neighbours,
  report: Report,
): void => {
  if (target.sink.schema !== undefined) return
  const table = wanted.table ?? wanted.stream
  // Databases compare table names without case.
  const key = `${target.partner}.${target.sinkName}.${table.toLowerCase()}`
  const writer = neighbours.tables.get(key)
  if (writer === undefined) neighbours.tables.set(key, `${pipeline}/${wanted.stream}`)
  else
    report(
      wanted.table === undefined ? path : [...path, 'table'],
      `table ${quote(table)} of partner ${quote(target.partner)} is written by ${quote(writer)} already; give one of the two another \`table\``,
      path.length === 2 ? 'key' : 'value',
    )
}

// Streams are judged one by one, so that a fault in one does not hide those of the others.
const Rest = Pipeline.extend({ streams: z.unknown().optional() })

const scheduleOf = ({ jitter, cron, ...rest }: z.output<typeof Schedule>): ScheduleEntry => ({
  cron,
  ...said({ ...rest, jitterMs: jitter }),
})

/** Judges one entry of `pipelines`: its own fields, and whether partners, sink and streams exist. Gives the entry when nothing is wrong. */
export const checkPipeline = (
  name: string,
  raw: unknown,
  neighbours: Neighbours,
): { readonly entry: PipelineEntry | undefined; readonly findings: readonly Finding[] } => {
  const at: Path = ['pipelines', name]
  const { data, findings: shape } = inspect(Rest, raw ?? {}, at)
  const findings = [...checkName('pipeline', name, at), ...shape]
  const report: Report = (path, message, where = 'value') => findings.push({ path, message, at: where })

  if (valueAt(raw, ['every']) !== undefined && valueAt(raw, ['schedule']) !== undefined)
    report([...at, 'schedule'], '`every` says already when it runs; remove one of the two', 'key')
  const source = findPartner(valueAt(raw, ['source']), [...at, 'source'], neighbours, report)
  const target = findTarget(valueAt(raw, ['sink']), [...at, 'sink'], neighbours, report)
  const listed = readStreams(valueAt(raw, ['streams']), [...at, 'streams'], report)
  const manifest = source?.manifest
  const declared = Object.keys(manifest?.streams ?? {})
  if (source !== undefined && manifest !== undefined) {
    if (manifest.discovers !== true && declared.length === 0) {
      const who = `partner ${quote(source.partner)} (connector ${quote(manifest.id)})`
      report([...at, 'source'], `${who} has no streams to read`)
    } else for (const placed of listed ?? []) checkStream(placed, manifest, target, report)
  }
  const all: readonly Placed[] = listed ?? declared.map((stream) => ({ wanted: { stream }, path: at }))
  if (target !== undefined) {
    const { partner, sink } = target
    for (const placed of all) {
      claimTable(placed, name, target, neighbours, report)
      const { stream, table = stream } = placed.wanted
      neighbours.written.push({ partner, sink, stream, table })
    }
    if (listed === undefined && (manifest === undefined || manifest.discovers === true))
      neighbours.written.push({ partner, sink })
  }

  if (findings.length > 0 || data === undefined || source === undefined || target === undefined)
    return { entry: undefined, findings }
  const entry = {
    name,
    source: source.partner,
    sink: target.partner,
    sinkName: target.sinkName,
    ...(listed === undefined ? {} : { streams: listed.map(({ wanted }) => wanted) }),
    ...said({
      contract: data.contract && (said(data.contract) as SchemaContractEntry),
      parallel: data.parallel,
      commitBytes: data.commit,
      everyMs: data.every,
      schedule: data.schedule && scheduleOf(data.schedule),
      reconcileEveryMs: data.reconcile,
    }),
  }
  return { entry, findings }
}
