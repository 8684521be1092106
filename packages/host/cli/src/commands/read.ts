import { toJson } from '@ecokit/contracts'
import type { AnyConnection, AnyRecord } from '@ecokit/contracts'
import { readRecords } from '@ecokit/server/ecosystem'
import { withRuntime } from '../open.ts'
import { csvLine } from '../output/csv.ts'
import { recordColumns, table } from '../output/table.ts'
import type { Invocation } from '../program.ts'
import { exits } from '../usage.ts'

export interface ReadOptions {
  readonly limit?: number
  readonly format: 'table' | 'ndjson' | 'csv'
}

/** A terminal shows no more at a time. */
const tableRows = 100

/** The columns of a stream by its schema; undefined for a table that is found at run time, whose records tell. */
const columnsOf = (connection: AnyConnection, stream: string): readonly string[] | undefined => {
  const { streams = {} } = connection.manifest
  const declared = Object.hasOwn(streams, stream) ? streams[stream] : undefined
  return declared !== undefined && 'shape' in declared.schema ? Object.keys(declared.schema.shape as object) : undefined
}

const upTo = async function* (records: AsyncIterable<AnyRecord>, limit: number) {
  if (limit === 0) return
  let count = 0
  for await (const record of records) {
    yield record
    if (++count >= limit) return
  }
}

/** How one record is written; undefined where all are needed first. */
const lineOf = (
  { format }: ReadOptions,
  json: boolean,
  columns: readonly string[] | undefined,
): ((record: AnyRecord, index: number) => string) | undefined => {
  if (json) return (record, index) => `${index === 0 ? '[' : ','}\n${toJson(record)}`
  if (format === 'ndjson') return (record) => `${toJson(record)}\n`
  if (format === 'table') return undefined
  let names = columns
  return (record, index) => {
    names ??= Object.keys(record)
    return `${index === 0 ? csvLine(names) : ''}${csvLine(names.map((name) => record[name]))}`
  }
}

/** Prints the records of a stream; everything but a table is written as it comes. */
export const read = (invocation: Invocation, partner: string, stream: string, options: ReadOptions): Promise<number> =>
  withRuntime(invocation, async (runtime, signal) => {
    const { terminal, json } = invocation
    const connection = await runtime.connect(partner)
    try {
      const columns = columnsOf(connection, stream)
      const line = lineOf(options, json, columns)
      const limit = options.limit ?? (line === undefined ? tableRows : Infinity)
      const records = upTo(readRecords(connection, stream, { signal }), limit)
      if (line === undefined) {
        const rows = await Array.fromAsync(records)
        const names = columns ?? [...new Set(rows.flatMap((row) => Object.keys(row)))]
        await terminal.out(table(recordColumns(names, rows), rows, terminal))
        if (rows.length === limit && options.limit === undefined)
          terminal.note(terminal.paintNote('dim', `the first ${limit} rows; --limit or another --format reads more\n`))
        return exits.done
      }
      let index = 0
      for await (const record of records) await terminal.out(line(record, index++))
      if (json) await terminal.out(index === 0 ? '[]\n' : '\n]\n')
      else if (index === 0 && options.format === 'csv' && columns !== undefined) await terminal.out(csvLine(columns))
      return exits.done
    } finally {
      await connection.close()
    }
  })
