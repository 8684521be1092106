import { jsonSchema } from '@ecokit/contracts'
import type { Manifest, Sink, Stream } from '@ecokit/contracts'
import type { PipelineStreamEntry } from './ecosystem.ts'
import type { Path } from './source.ts'
import { listOf, quote, unknownWord } from './suggest.ts'

/** A stream as it was written, and where. */
export interface Placed {
  readonly wanted: PipelineStreamEntry
  readonly path: Path
}
export type Report = (path: Path, message: string, at?: 'key' | 'value') => void

/** The fields of a stream's records; undefined where its schema leaves them open. */
const fieldsOf = ({ schema }: Stream): readonly string[] | undefined => {
  const { properties, additionalProperties } = jsonSchema(schema)
  if (typeof properties !== 'object' || properties === null) return undefined
  if (additionalProperties !== undefined && additionalProperties !== false) return undefined
  return Object.keys(properties)
}

/** Columns, names and types against the fields that the connector declares. */
const checkColumns = ({ wanted, path }: Placed, declared: Stream, report: Report): void => {
  const { stream, columns, rename = {}, cast = {}, quality = [] } = wanted
  if (columns === undefined && Object.keys({ ...rename, ...cast }).length === 0 && quality.length === 0) return
  const fields = fieldsOf(declared)
  if (fields === undefined) return
  const there = `fields of stream ${quote(stream)}`
  for (const [index, name] of (columns ?? []).entries()) {
    const at = [...path, 'columns', index]
    if (!fields.includes(name)) report(at, unknownWord('field', name, fields, there))
    else if (columns?.indexOf(name) !== index) report(at, `field ${quote(name)} stands here twice; remove one`)
  }
  for (const name of Object.keys(rename))
    if (!fields.includes(name)) report([...path, 'rename', name], unknownWord('field', name, fields, there), 'key')
  // The engine always reads what it identifies a record by.
  const kept = new Set([...(columns ?? fields), ...(declared.primaryKey ?? []), declared.cursor])
  const named = fields.filter((name) => kept.has(name)).map((name) => ({ field: name, column: rename[name] ?? name }))
  for (const [index, { field, column }] of named.entries()) {
    const other = named.findIndex((one) => one.column.toLowerCase() === column.toLowerCase())
    if (other === index) continue
    const renamed = [field, named[other]?.field ?? ''].find((name) => Object.hasOwn(rename, name)) ?? field
    const clash = renamed === field ? (named[other]?.field ?? '') : field
    report(
      [...path, 'rename', renamed],
      `field ${quote(clash)} has the column ${quote(column)} already; choose another name`,
    )
  }
  const result = named.map(({ column }) => column)
  const columnsThere = `columns of stream ${quote(stream)}`
  for (const name of Object.keys(cast))
    if (!result.includes(name))
      report([...path, 'cast', name], unknownWord('column', name, result, columnsThere), 'key')
  for (const [index, rule] of quality.entries()) {
    const looked =
      rule.rule === 'unique'
        ? rule.fields.map((name, place) => ({ name, at: ['fields', place] }))
        : 'field' in rule
          ? [{ name: rule.field, at: ['field'] }]
          : []
    for (const { name, at } of looked)
      if (!result.includes(name))
        report([...path, 'quality', index, ...at], unknownWord('column', name, result, columnsThere))
  }
}

/** What the sink must be able to do. */
const checkAbilities = ({ wanted, path }: Placed, sinkName: string, sink: Sink, report: Report): void => {
  const { disposition, deletes, allowDuplicates } = wanted
  const who = `sink ${quote(sinkName)}`
  if (disposition !== undefined && !sink.dispositions.includes(disposition))
    report([...path, 'disposition'], `${who} cannot ${disposition}; it can ${listOf(sink.dispositions)}`)
  else if (disposition === 'append' && sink.commit === 'at_least_once' && allowDuplicates !== true)
    report(
      [...path, 'disposition'],
      `${who} may hold a row twice after a crash, and append cannot find it; accept that with allow_duplicates: true${sink.dispositions.includes('merge') ? ', or write merge' : ''}`,
    )
  const can = sink.deletes ?? []
  if (deletes !== undefined && deletes !== 'ignore' && !can.includes(deletes))
    report(
      [...path, 'deletes'],
      `${who} cannot ${deletes === 'soft' ? 'mark rows as deleted' : 'remove rows'}; write ${listOf([...can, 'ignore']).replace(' and ', ' or ')}`,
    )
}

/** Judges one stream of a pipeline by what the source declares and the sink can do; what is found at run time is judged then. */
export const checkStream = (
  placed: Placed,
  manifest: Manifest,
  target: { readonly sinkName: string; readonly sink: Sink } | undefined,
  report: Report,
): void => {
  const { wanted, path } = placed
  const { stream, mode, disposition } = wanted
  const found = Object.hasOwn(manifest.streams ?? {}, stream) ? manifest.streams?.[stream] : undefined
  if (found === undefined && manifest.discovers !== true) {
    const names = Object.keys(manifest.streams ?? {})
    const message = unknownWord('stream', stream, names, `streams of connector ${quote(manifest.id)}`)
    report(path, message, typeof path.at(-1) === 'number' ? 'value' : 'key')
  }
  if (found !== undefined && found.cursor === undefined && mode === 'incremental')
    report([...path, 'mode'], `stream ${quote(stream)} has no cursor to go on from; write full_refresh`)
  if (found !== undefined && found.primaryKey === undefined && disposition === 'merge')
    report(
      [...path, 'disposition'],
      `stream ${quote(stream)} has no primary key to merge by; write append or overwrite`,
    )
  if (found !== undefined) checkColumns(placed, found, report)
  if (target !== undefined) checkAbilities(placed, target.sinkName, target.sink, report)
}
