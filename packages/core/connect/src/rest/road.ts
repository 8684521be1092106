import { Buffer } from 'node:buffer'
import { int64, integrationError, isIntegrationError } from '@ecokit/contracts'
import type { AnyRecord, InvalidRecord, RestStream } from '@ecokit/contracts'
import { readJson } from '@ecokit/http'
import { formOf, openScanner } from '@ecokit/json-scan'
import type { Field, Form, Rejected, Scanned, Struct } from '@ecokit/json-scan'
import { z } from 'zod'
import { openGate } from '../own-keys.ts'
import { decimalDigits } from '../writing/decimal.ts'
import { valueFinder } from './lines.ts'
import { lineRows, recordRows } from './rows.ts'
import type { Rows } from './rows.ts'

/** What a page held. */
export interface Found {
  readonly rows: Rows
  /** How many records it had, those included that were refused. */
  readonly records: number
  readonly refused: readonly InvalidRecord[]
  /** What stands around the records. */
  readonly envelope: unknown
}
/** Reads pages of one stream. Throws `invalid_reply` for what is no page. */
export type Road = (page: Uint8Array) => Found

export interface RoadOptions {
  readonly partner: string
  readonly rest: RestStream
  /** Of a row, with the columns that are wanted, and no others but the cursor. */
  readonly schema: z.ZodType
  /** The field of the cursor. */
  readonly cursor: string | undefined
  /** The cursor is not wanted: it is looked at and left out. */
  readonly hidden: boolean
}

/** A page without its list, where that means that there are no records: what it holds; undefined for any other page. */
const lacking = (page: Uint8Array, at: readonly string[]): unknown => {
  let value: unknown
  try {
    const text = Buffer.from(page.buffer, page.byteOffset, page.length).toString('utf8')
    if (text.trim() === '') return {}
    value = readJson(text)
  } catch {
    return undefined
  }
  const envelope = value
  for (const key of at) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    value = Object.hasOwn(value, key) ? (value as AnyRecord)[key] : undefined
    if (value === undefined || value === null) return envelope
  }
  return undefined
}

/** Reads pages with a scanner, and those that lack their list where they may. */
const pageScanner = ({ rest, partner }: RoadOptions, form: Form) => {
  const scanner = openScanner(form)
  const at = rest.records?.split('.') ?? []
  return (page: Uint8Array): Scanned => {
    try {
      return scanner.scan(page, { at, partner })
    } catch (error) {
      const envelope =
        rest.mayLack === true && isIntegrationError(error, 'invalid_reply') ? lacking(page, at) : undefined
      if (envelope === undefined) throw error
      return { chunks: [], count: 0, rejected: [], envelope, exceptions: 0 }
    }
  }
}

const own = (chunks: readonly Uint8Array[]): Buffer => {
  const bytes = Buffer.allocUnsafeSlow(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}
const invalidOf = ({ record, field, reason }: Rejected): InvalidRecord => ({ record, field, reason })

/** Proves the bytes of a page; no record becomes an object. */
const byteRoad = (options: RoadOptions, form: Struct): Road => {
  const { cursor } = options
  const scan = pageScanner(options, form)
  const find = cursor === undefined ? undefined : valueFinder(form, cursor)
  return (page) => {
    const { chunks, count, rejected, envelope } = scan(page)
    const rows = lineRows(own(chunks), count, find)
    return { rows, records: count + rejected.length, refused: rejected.map(invalidOf), envelope }
  }
}

const anything: Form = { kind: 'json', nullable: true }
type Def = z.core.$ZodTypeDef & Readonly<Record<string, unknown>>
/** What a schema asks of the bytes, without what its makers added as code: as much as has a form. */
const withoutCode = (schema: z.ZodType): z.ZodType => {
  if ('form' in formOf(z.object({ field: schema }))) return schema
  const meta = z.globalRegistry.get(schema)
  if (meta?.['format'] === 'int64') return int64()
  const def = schema._zod.def as unknown as Def
  const inner = (name: string) => withoutCode(def[name] as z.ZodType)
  if (def.type === 'pipe') return inner('in')
  if (def.type === 'default' || def.type === 'prefault') return z.optional(inner('innerType'))
  const parts = ['innerType', 'element', 'valueType'].filter((name) => def[name] !== undefined)
  const shape = def['shape'] as Readonly<Record<string, z.ZodType>> | undefined
  const bare = z.core.clone(schema, {
    ...def,
    ...Object.fromEntries(parts.map((name) => [name, inner(name)])),
    ...(shape && {
      shape: Object.fromEntries(Object.entries(shape).map(([name, field]) => [name, withoutCode(field)])),
    }),
    ...(def.checks && { checks: def.checks.filter((check) => check._zod.def.check !== 'custom') }),
  })
  return meta === undefined ? bare : bare.register(z.globalRegistry, meta)
}
const fieldOf = (name: string, schema: z.ZodType): Field => {
  const found = formOf(z.object({ [name]: withoutCode(schema) }))
  const field = 'form' in found && found.form.kind === 'struct' ? found.form.fields[0] : undefined
  return field ?? { name, form: anything, optional: true }
}
/** As much of a schema with code in it as bytes can be proved by, so that its records meet the same rules as all others before the code sees them. */
const gateOf = (schema: z.ZodType): Form => {
  if (!(schema instanceof z.ZodObject)) return anything
  const { shape, catchall } = schema._zod.def
  const rest = catchall?._zod.def.type
  if (rest !== undefined && rest !== 'never') return anything
  const fields = Object.entries(shape).map(([name, field]) => fieldOf(name, field as z.ZodType))
  return { kind: 'struct', fields, unknownFields: rest === 'never' ? 'refuse' : 'strip' }
}

/** What was read exactly, as the form means it: a double may look like a large integer, and a short decimal is written as a number. */
export const valueOf = (form: Form, value: unknown): unknown => {
  if (form.kind === 'decimal' && typeof value === 'number') return decimalDigits(value)
  if (typeof value === 'bigint')
    return form.kind === 'double' ? Number(value) : form.kind === 'decimal' ? String(value) : value
  if (typeof value !== 'object' || value === null) return value
  if (form.kind === 'list') return (value as readonly unknown[]).map((item) => valueOf(form.item, item))
  const inner = (name: string): Form | undefined =>
    form.kind === 'map'
      ? form.value
      : form.kind === 'struct'
        ? form.fields.find((one) => one.name === name)?.form
        : undefined
  if (form.kind !== 'map' && form.kind !== 'struct') return value
  const members = Object.entries(value).map(([name, item]) => [name, valueOf(inner(name) ?? anything, item)] as const)
  return Object.fromEntries(members)
}

/** Makes records of the bytes, for schemas with code in them and rows that are made by code. */
const objectRoad = (options: RoadOptions): Road => {
  const { rest, schema, cursor, hidden } = options
  const { wire, map } = rest
  const gate = wire === undefined ? gateOf(schema) : anything
  const scan = pageScanner(options, gate)
  const wired = wire && openGate(wire)
  const proved = openGate(schema)
  /** A record that is no JSON, which Python writes all the same: NaN and the infinities. */
  const lenient = ({ reason, record }: Rejected): { readonly record: unknown } | undefined => {
    if (wire === undefined || reason !== 'not JSON' || !/NaN|Infinity/.test(record)) return undefined
    try {
      return { record: readJson(record) }
    } catch {
      return undefined
    }
  }
  return (page) => {
    const { chunks, count, rejected, envelope } = scan(page)
    const lines = own(chunks).toString('utf8').split('\n')
    const total = count + rejected.length
    const records: AnyRecord[] = []
    const refused: InvalidRecord[] = []
    let passed = 0
    for (let index = 0; index < total; index++) {
      const left = rejected[passed]?.index === index ? rejected[passed++] : undefined
      const mended = left && lenient(left)
      if (left !== undefined && mended === undefined) {
        refused.push(invalidOf(left))
        continue
      }
      // The record as it came is what is put aside.
      const text = left?.record ?? lines[index - passed] ?? ''
      const record = mended === undefined ? valueOf(gate, readJson(text)) : mended.record
      const sent = wired === undefined ? { value: record } : wired(record)
      const row = 'value' in sent ? proved(map === undefined ? sent.value : map(sent.value)) : sent
      if ('value' in row) records.push(row.value as AnyRecord)
      else refused.push({ record: text, ...row })
    }
    return { rows: recordRows(records, cursor, hidden), records: total, refused, envelope }
  }
}

/** The fastest road that a stream can take. */
export const roadOf = (options: RoadOptions): Road => {
  const { rest, schema, hidden } = options
  if ((rest.wire === undefined) !== (rest.map === undefined))
    throw integrationError('internal', { what: 'wire and map belong together', details: {} })
  const found = rest.wire === undefined && !hidden ? formOf(schema) : undefined
  return found !== undefined && 'form' in found && found.form.kind === 'struct'
    ? byteRoad(options, found.form)
    : objectRoad(options)
}
