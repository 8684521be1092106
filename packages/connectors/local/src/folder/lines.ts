import { isUtf8 } from 'node:buffer'
import { open } from 'node:fs/promises'
import path from 'node:path'
import { refusal } from '@ecokit/connect/writing'
import { fromJson, integrationError } from '@ecokit/contracts'
import type { AnyRecord, InvalidRecord } from '@ecokit/contracts'
import { columnsOf } from '../columns.ts'
import { csvReader } from './csv.ts'
import { fromCell, fromValue } from './text.ts'
import type { Column } from '../columns.ts'
import type { CsvFound } from './csv.ts'
import type { FolderManifest } from './layout.ts'

/** A file that is read, and how to say where something is wrong in it. */
interface Source {
  readonly file: string
  readonly partner: string
  readonly table: string
  /** So much of it is read; absent: all. What stands behind is not committed. */
  readonly bytes?: number | undefined
  /** Takes each record that cannot be read, which is then left out; without it the first one ends the read. */
  readonly onInvalid?: ((invalid: InvalidRecord) => void) | undefined
}
/** Puts a record aside, or ends the read. */
const refuseAt = (source: Source, place: string, what: string, record: unknown): void => {
  if (source.onInvalid === undefined) throw faultAt(source, place, what)
  source.onInvalid({ record, field: `${path.basename(source.file)}:${place}`, reason: what })
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

const brokenLines = (bytes: Uint8Array, first: number): ReadonlyMap<number, number> => {
  const found = new Map<number, number>()
  for (let start = 0, line = first; start < bytes.length; line += 1) {
    const end = bytes.indexOf(10, start)
    const stop = end === -1 ? bytes.length : end
    const part = bytes.subarray(start, stop)
    if (!isUtf8(part)) found.set(line, brokenColumn(part))
    start = stop + 1
  }
  return found
}

const chunkBytes = 1_000_000
interface PieceOfText {
  readonly text: string
  /** The number of its first line. */
  readonly line: number
  /** The lines that are not UTF-8, with the column where each breaks; broken bytes stand in the text as U+FFFD. */
  readonly broken: ReadonlyMap<number, number>
}
const sound: ReadonlyMap<number, number> = new Map()
/** The text of a file in pieces that end after a line feed. */
const pieces = async function* (source: Source): AsyncIterable<PieceOfText> {
  const handle = await open(source.file, 'r')
  let left = source.bytes ?? Infinity
  const size = Math.min(chunkBytes, left, (await handle.stat()).size + 1)
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  let line = 1
  const decode = (bytes: Uint8Array): PieceOfText => {
    const at = line
    const broken = isUtf8(bytes) ? sound : brokenLines(bytes, at)
    const text = decoder.decode(bytes)
    for (let index = text.indexOf('\n'); index !== -1; index = text.indexOf('\n', index + 1)) line += 1
    return { text: at === 1 && text.startsWith('\ufeff') ? text.slice(1) : text, line: at, broken }
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
  const loads = kept?.map(({ name, type }) => ({ name, load: fromValue(type) }))
  for await (const piece of pieces(source)) {
    let number = piece.line - 1
    for (const text of piece.text.split('\n')) {
      number += 1
      const column = piece.broken.get(number)
      if (column !== undefined) {
        refuseAt(source, `${number}:${column}`, 'not UTF-8', text)
        continue
      }
      if (text.trim() === '') continue
      let value: unknown
      try {
        value = fromJson(text)
      } catch {
        refuseAt(source, String(number), 'not JSON', text)
        continue
      }
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        refuseAt(source, String(number), 'not a JSON object', value)
        continue
      }
      const record = value as AnyRecord
      const typed = loads?.map(({ name, load }) => ({
        name,
        load: () => load(Object.hasOwn(record, name) ? record[name] : null),
      }))
      const given = typed === undefined ? record : typedRecord(source, String(number), typed, record)
      if (given !== undefined) yield given
    }
  }
}

/** A record of typed fields; undefined where one of them was refused. */
const typedRecord = (
  source: Source,
  place: string,
  fields: readonly { readonly name: string; readonly load: () => unknown }[],
  record: unknown,
): AnyRecord | undefined => {
  const cells: [string, unknown][] = []
  for (const { name, load } of fields)
    try {
      cells.push([name, load()])
    } catch (thrown) {
      const reason = refusal(thrown)
      if (reason === undefined) throw thrown
      refuseAt(source, place, `${name}: ${reason}`, record)
      return undefined
    }
  return Object.fromEntries(cells)
}

const csvRecords = async function* (source: Source): AsyncIterable<CsvFound> {
  const reader = csvReader()
  let broken = sound
  const judged = function* (found: readonly CsvFound[]): Iterable<CsvFound> {
    for (const one of found) {
      const line = [...broken.keys()].find((bad) => bad >= one.line && bad <= one.end)
      yield line === undefined
        ? one
        : { fault: 'not UTF-8', line, column: broken.get(line) ?? 1, end: one.end, text: textOf(one) }
    }
  }
  for await (const piece of pieces(source)) {
    if (piece.broken.size > 0) broken = new Map([...broken, ...piece.broken])
    yield* judged(reader.push(piece.text))
  }
  yield* judged(reader.end())
}
const textOf = (found: CsvFound): string =>
  'text' in found ? found.text : found.cells.map((cell) => cell ?? '').join(',')
const headerNames = (source: Source, record: CsvFound | undefined): readonly string[] => {
  if (record === undefined) throw faultAt(source, '1:1', 'there is no header line')
  if ('fault' in record) throw faultAt(source, `${record.line}:${record.column}`, record.fault)
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
    if ('fault' in record) {
      refuseAt(source, `${record.line}:${record.column}`, record.fault, record.text)
      continue
    }
    const { cells } = record
    if (kept === undefined && cells.some((cell) => cell?.includes('\0') === true)) {
      // What no editor writes: another encoding, or no text at all. Our own files may hold it.
      refuseAt(source, String(record.line), 'the character NUL', textOf(record))
      continue
    }
    const fields = names.map((name, index) => {
      const cell = cells[index] ?? null
      return { name, load: () => (kept === undefined ? cell : types.get(name)?.(cell)) }
    })
    const missing = (kept ?? []).filter(({ name }) => !names?.includes(name)).map(({ name }) => [name, null] as const)
    const given = typedRecord(source, String(record.line), fields, textOf(record))
    if (given !== undefined) yield missing.length > 0 ? { ...given, ...Object.fromEntries(missing) } : given
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
