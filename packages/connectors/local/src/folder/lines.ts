import { isUtf8 } from 'node:buffer'
import { open } from 'node:fs/promises'
import { integrationError } from '@ecokit/contracts'
import type { AnyRecord } from '@ecokit/contracts'
import { columnsOf } from '../columns.ts'
import { parseJson } from '../json.ts'
import { refusal } from '../refused.ts'
import { csvReader, isCsvFault } from './csv.ts'
import { fromCell, fromJson } from './text.ts'
import type { Column } from '../columns.ts'
import type { CsvRecord } from './csv.ts'
import type { FolderManifest } from './layout.ts'

/** A file that is read, and how to say where something is wrong in it. */
interface Source {
  readonly file: string
  readonly partner: string
  readonly table: string
  /** So much of it is read; absent: all. What stands behind is not committed. */
  readonly bytes?: number | undefined
}
const faultAt = ({ file, partner, table }: Source, place: string, what: string) =>
  integrationError('invalid_data', {
    partner,
    what: `${file}:${place}: ${what}`,
    next: 'Mend the file',
    details: { stream: table, field: `${file}:${place}` },
  })

/** Where UTF-8 breaks: the first replacement character that a lenient decoder puts where the bytes do not have it. */
const brokenColumn = (bytes: Uint8Array): number => {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
  for (let index = text.indexOf('\ufffd'); index !== -1; index = text.indexOf('\ufffd', index + 1)) {
    const at = Buffer.byteLength(text.slice(0, index))
    if (bytes[at] !== 0xef || bytes[at + 1] !== 0xbf || bytes[at + 2] !== 0xbd) return index + 1
  }
  return 1
}

const chunkBytes = 1_000_000
/** The text of a file in pieces that end after a line feed, each with the number of its first line; not UTF-8 is an error with its place. */
const pieces = async function* (source: Source): AsyncIterable<{ readonly text: string; readonly line: number }> {
  const handle = await open(source.file, 'r')
  let left = source.bytes ?? Infinity
  const size = Math.min(chunkBytes, left, (await handle.stat()).size + 1)
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let line = 1
  const decode = (bytes: Uint8Array) => {
    if (!isUtf8(bytes)) {
      for (let start = 0; start < bytes.length; line += 1) {
        const end = bytes.indexOf(10, start)
        const stop = end === -1 ? bytes.length : end
        const part = bytes.subarray(start, stop)
        if (!isUtf8(part)) throw faultAt(source, `${line}:${brokenColumn(part)}`, 'not UTF-8')
        start = stop + 1
      }
    }
    const text = decoder.decode(bytes)
    const at = line
    for (let index = text.indexOf('\n'); index !== -1; index = text.indexOf('\n', index + 1)) line += 1
    return { text: at === 1 && text.startsWith('\ufeff') ? text.slice(1) : text, line: at }
  }
  try {
    let waiting: Buffer[] = []
    for (;;) {
      const chunk = Buffer.allocUnsafe(size)
      const { bytesRead } = await handle.read(chunk, 0, Math.min(size, left))
      if (bytesRead === 0) break
      left -= bytesRead
      const read = chunk.subarray(0, bytesRead)
      const end = read.lastIndexOf(10) + 1
      if (end === 0) {
        waiting.push(read)
        continue
      }
      yield decode(Buffer.concat([...waiting, read.subarray(0, end)]))
      waiting = [read.subarray(end)]
    }
    const rest = Buffer.concat(waiting)
    if (rest.length > 0) yield decode(rest)
  } finally {
    await handle.close()
  }
}

const ndjsonRecords = async function* (source: Source, kept: readonly Column[] | undefined): AsyncIterable<AnyRecord> {
  const loads = kept?.map(({ name, type }) => ({ name, load: fromJson(type) }))
  for await (const piece of pieces(source)) {
    let number = piece.line - 1
    for (const text of piece.text.split('\n')) {
      number += 1
      if (text.trim() === '') continue
      let value: unknown
      try {
        value = parseJson(text)
      } catch {
        throw faultAt(source, String(number), 'not JSON')
      }
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        throw faultAt(source, String(number), 'not a JSON object')
      const record = value as AnyRecord
      yield loads === undefined
        ? record
        : Object.fromEntries(
            loads.map(({ name, load }) => {
              try {
                return [name, Object.hasOwn(record, name) ? load(record[name]) : null]
              } catch (thrown) {
                throw refusal(thrown) === undefined
                  ? thrown
                  : faultAt(source, String(number), `${name}: ${refusal(thrown) ?? ''}`)
              }
            }),
          )
    }
  }
}

const csvRecords = async function* (source: Source): AsyncIterable<CsvRecord> {
  const reader = csvReader()
  try {
    for await (const { text } of pieces(source)) yield* reader.push(text)
    yield* reader.end()
  } catch (thrown) {
    if (isCsvFault(thrown)) throw faultAt(source, `${thrown.line}:${thrown.column}`, thrown.fault)
    throw thrown
  }
}
const headerNames = (source: Source, record: CsvRecord | undefined): readonly string[] => {
  if (record === undefined) throw faultAt(source, '1:1', 'there is no header line')
  const names = record.cells.map((cell, index) => cell ?? fail(`column ${index + 1} has no name`))
  function fail(what: string): never {
    throw faultAt(source, '1:1', what)
  }
  if (new Set(names).size !== names.length) fail('two columns have the same name')
  return names
}
const csvObjects = async function* (source: Source, kept: readonly Column[] | undefined): AsyncIterable<AnyRecord> {
  let names: readonly string[] | undefined
  const types = new Map(kept?.map(({ name, type }) => [name, fromCell(type)]))
  for await (const record of csvRecords(source)) {
    if (names === undefined) {
      names = headerNames(source, record)
      continue
    }
    const cells = names.map((name, index): readonly [string, unknown] => {
      const cell = record.cells[index] ?? null
      try {
        return [name, kept === undefined ? cell : types.get(name)?.(cell)]
      } catch (thrown) {
        throw refusal(thrown) === undefined
          ? thrown
          : faultAt(source, String(record.line), `${name}: ${refusal(thrown) ?? ''}`)
      }
    })
    const missing = (kept ?? []).filter(({ name }) => !names?.includes(name)).map(({ name }) => [name, null] as const)
    yield Object.fromEntries([...cells, ...missing])
  }
  if (names === undefined) headerNames(source, undefined)
}

/** The names in a CSV file's first line. */
export const csvHeader = async (source: Source): Promise<readonly string[]> => {
  for await (const record of csvRecords(source)) return headerNames(source, record)
  return headerNames(source, undefined)
}

/** The records of one file: typed by the manifest where there is one; else CSV gives texts, and NDJSON what JSON says. */
export const fileRecords = (
  source: Source,
  format: 'csv' | 'ndjson',
  manifest: FolderManifest | undefined,
): AsyncIterable<AnyRecord> => {
  const kept =
    manifest === undefined ? undefined : columnsOf({ name: manifest.table, schema: manifest.schema }, source.partner)
  return format === 'csv' ? csvObjects(source, kept) : ndjsonRecords(source, kept)
}
