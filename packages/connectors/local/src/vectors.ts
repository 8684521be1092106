import { closeSync, openSync, readSync } from 'node:fs'
// DuckDB's functions below its API: they copy memory, and must be right.
import native from '@duckdb/node-bindings'
import { identifier } from '@ecokit/connect/writing'
import { integrationError, isIntegrationError } from '@ecokit/contracts'
import { openFiller, openScanner } from '@ecokit/json-scan'
import type { DuckDBConnection, DuckDBDataChunk, DuckDBType } from '@duckdb/node-api'
import type { FilledColumn, Filler, Form, Struct } from '@ecokit/json-scan'
import { sqlType } from './columns.ts'
import { vectorType } from './duck-values.ts'
import type { Column, ColumnType } from './columns.ts'
import type { Duck } from './database.ts'
import type { LineSource } from './proven.ts'
import type { Segment } from './segments.ts'

/** How much of a segment is read at once. */
const pieceBytes = 2_000_000

/** Segments that SQL reads under a number, as the table function below looks them up. */
interface Source {
  readonly names: readonly string[]
  readonly types: readonly DuckDBType[]
  readonly rows: number
  readonly scan: () => Scan
}
/** One reading of them from the beginning. */
interface Scan {
  readonly next: (chunk: DuckDBDataChunk) => void
}
interface Registry {
  readonly sources: Map<number, Source>
  next: number
}
// One for the process, as the databases are: the function that a database knows is the first that was registered, perhaps by another copy of this package.
const key = Symbol.for('@ecokit/connector-local/lines/1')
const registry = ((globalThis as Record<symbol, unknown>)[key] ??= { sources: new Map(), next: 1 }) as Registry
const functionName = '_ecokit_lines'
const registered = new WeakSet<DuckDBConnection>()

const register = (duck: Duck, connection: DuckDBConnection): void => {
  if (registered.has(connection)) return
  const sourceOf = (id: unknown): Source => {
    const source = registry.sources.get(Number(id))
    if (source === undefined) throw new Error('these lines have been read already')
    return source
  }
  connection.registerTableFunction(
    duck.DuckDBTableFunction.create({
      name: functionName,
      parameterTypes: [duck.BIGINT],
      bindFunction: (info) => {
        const source = sourceOf(info.getParameter(0))
        for (const [index, type] of source.types.entries()) info.addResultColumn(source.names[index] ?? '', type)
        info.setCardinality(source.rows, true)
        info.setBindData(source)
      },
      initFunction: (info) => {
        // One thread, so that the rows keep the order of the lines.
        info.setMaxThreads(1)
        info.setInitData((info.getBindData() as Source).scan())
      },
      mainFunction: (info, chunk) => {
        ;(info.getInitData() as Scan).next(chunk)
      },
    }),
  )
  registered.add(connection)
}

/** As what a column's values come out of the vectors: days as their text, which DuckDB reads exactly. */
const filledType = (type: ColumnType): ColumnType =>
  type.kind === 'date'
    ? { kind: 'varchar' }
    : type.kind === 'struct'
      ? { ...type, fields: type.fields.map((field) => ({ ...field, type: filledType(field.type) })) }
      : type

const formOf = (type: ColumnType): Form | undefined => {
  switch (type.kind) {
    case 'boolean':
    case 'double':
      return { kind: type.kind }
    case 'bigint':
      return { kind: 'integer' }
    case 'varchar':
    case 'date':
      return { kind: 'string' }
    case 'timestamptz':
      return { kind: 'timestamp' }
    case 'decimal':
      return { kind: 'decimal', precision: type.width, scale: type.scale }
    case 'struct':
      return recordForm(type.fields)
    default:
      return undefined
  }
}
/** Any column may be empty; what must be there was proved before. */
const recordForm = (columns: readonly { readonly name: string; readonly type: ColumnType }[]): Struct | undefined => {
  const fields = columns.flatMap(({ name, type }) => {
    const form = formOf(type)
    return form === undefined ? [] : [{ name, form: { ...form, nullable: true }, optional: true }]
  })
  return fields.length === columns.length ? { kind: 'struct', fields, unknownFields: 'refuse' } : undefined
}

/** The vectors of a chunk in the order of the filler's columns, those of a nested object behind it. */
const vectorsOf = (chunk: DuckDBDataChunk['chunk'], columns: readonly FilledColumn[]): readonly native.Vector[] => {
  const vectors: native.Vector[] = []
  const children = new Map<number | undefined, number>()
  for (const { parent } of columns) {
    const place = children.get(parent) ?? 0
    children.set(parent, place + 1)
    const above = parent === undefined ? undefined : vectors[parent]
    vectors.push(
      above === undefined ? native.data_chunk_get_vector(chunk, place) : native.struct_vector_get_child(above, place),
    )
  }
  return vectors
}

/** Copies a chunk of the filler into DuckDB's own vectors. */
const hand = (filler: Filler, rows: number, { chunk }: DuckDBDataChunk): void => {
  const { columns, buffer } = filler
  const vectors = vectorsOf(chunk, columns)
  for (const [index, { width, dataAt, validAt, blobAt }] of columns.entries()) {
    const vector = vectors[index]
    if (vector === undefined) continue
    const blob = filler.blobLength(index)
    if (blob > 0) {
      // Makes DuckDB copy the blob into the heap of this vector, with which its texts then live and die; row 0 gets its own value below.
      native.vector_assign_string_element_len(vector, 0, new Uint8Array(buffer, blobAt, blob))
      const view = native.vector_get_data(vector, 16)
      filler.rebase(index, new DataView(view.buffer, view.byteOffset).getBigInt64(8, true))
    }
    if (width > 0) native.copy_data_to_vector(vector, 0, buffer, dataAt, rows * width)
    if (filler.hasNulls(index)) {
      native.vector_ensure_validity_writable(vector)
      // DuckDB's masks are of 64 rows each.
      native.copy_data_to_vector_validity(vector, 0, buffer, validAt, Math.ceil(rows / 64) * 8)
    }
  }
  for (const { column, row, bytes } of filler.longTexts()) {
    const vector = vectors[column]
    if (vector !== undefined) native.vector_assign_string_element_len(vector, row, bytes)
  }
  native.data_chunk_set_size(chunk, rows)
}

/** Reads a segment in pieces that end with a line. */
const openPieces = ({ file, bytes }: Segment) => {
  const descriptor = openSync(file, 'r')
  let buffer = Buffer.allocUnsafe(Math.max(1, Math.min(bytes, pieceBytes)))
  let [from, to] = [0, 0]
  return {
    /** Good until the next call; undefined at the end of the file. */
    next: (): Uint8Array | undefined => {
      buffer.copyWithin(0, from, to)
      to -= from
      from = 0
      for (;;) {
        if (to === buffer.length) buffer = Buffer.concat([buffer, Buffer.allocUnsafe(buffer.length)])
        const read = readSync(descriptor, buffer, to, buffer.length - to, null)
        const before = to
        to += read
        if (read === 0) {
          from = to
          return to === 0 ? undefined : buffer.subarray(0, to)
        }
        const end = buffer.subarray(before, to).lastIndexOf(10)
        if (end < 0) continue
        from = before + end + 1
        return buffer.subarray(0, from)
      }
    },
    close: () => {
      closeSync(descriptor)
    },
  }
}

/** True where the filler reads the first line as it is written; lines in another order of the fields are written again. */
const takes = (filler: Filler, segment: Segment): boolean => {
  const pieces = openPieces(segment)
  try {
    const lines = pieces.next() ?? new Uint8Array(0)
    const end = lines.indexOf(10)
    filler.load(end < 0 ? lines : lines.subarray(0, end + 1))
    filler.next()
    return true
  } catch (thrown) {
    if (isIntegrationError(thrown)) return false
    throw thrown
  } finally {
    filler.load(new Uint8Array(0))
    pieces.close()
  }
}

/**
 * How proven segments are read without DuckDB's JSON reader: their lines fill its vectors, and a table function hands them to any statement.
 * Undefined for tables with lists, maps or JSON, which have no vectors here.
 */
export const vectorReader = (columns: readonly Column[]): LineSource | undefined => {
  const form = recordForm(columns)
  if (form === undefined) return undefined
  /** The same lines in the order of the columns. */
  const inOrder = (lines: Uint8Array): Uint8Array => {
    const { chunks, rejected } = openScanner(form).lines(lines)
    const [first] = rejected
    if (first === undefined) return Buffer.concat(chunks)
    throw integrationError('invalid_data', {
      what: `line ${first.index + 1} of a segment is not a line of the form: ${first.field}: ${first.reason}`,
      details: { stream: '', field: first.field },
    })
  }
  const idle: Filler[] = []
  const types = columns.map(({ type }) => filledType(type))
  const select = columns
    .map(({ name, type }, index) => {
      const [read, wanted, column] = [sqlType(types[index] ?? type), sqlType(type), identifier(name)]
      return read === wanted ? column : `CAST(${column} AS ${wanted}) AS ${column}`
    })
    .join(', ')

  return (duck, connection, segments) => {
    const first = idle.pop() ?? openFiller(form)
    idle.push(first)
    const [segment] = segments
    const ordered = segment === undefined || takes(first, segment)
    register(duck, connection)
    const open = new Set<() => void>()
    const scan = (): Scan => {
      const filler = idle.pop() ?? openFiller(form)
      const waiting: Segment[] = [...segments]
      let pieces: ReturnType<typeof openPieces> | undefined
      let ended = false
      const end = () => {
        pieces?.close()
        pieces = undefined
        // A scan that was given up leaves lines behind.
        filler.load(new Uint8Array(0))
        if (!ended) idle.push(filler)
        ended = true
        open.delete(end)
      }
      open.add(end)
      return {
        next: (chunk) => {
          while (!ended) {
            const rows = filler.next()
            if (rows > 0) {
              hand(filler, rows, chunk)
              return
            }
            const lines = pieces?.next()
            if (lines !== undefined) {
              filler.load(ordered ? lines : inOrder(lines))
              continue
            }
            pieces?.close()
            pieces = undefined
            const segment = waiting.shift()
            if (segment === undefined) end()
            else pieces = openPieces(segment)
          }
          native.data_chunk_set_size(chunk.chunk, 0)
        },
      }
    }
    const id = registry.next++
    const rows = segments.reduce((sum, segment) => sum + segment.rows, 0)
    const names = columns.map(({ name }) => name)
    registry.sources.set(id, { names, types: types.map((type) => vectorType(duck, type)), rows, scan })
    return Promise.resolve({
      from: `(SELECT ${select} FROM ${functionName}(${id}))`,
      close: () => {
        registry.sources.delete(id)
        for (const end of open) end()
      },
    })
  }
}
