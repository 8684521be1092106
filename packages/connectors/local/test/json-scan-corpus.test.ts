import { deepStrictEqual } from 'node:assert'
import { fromJson, toJson } from '@ecokit/contracts'
import type { AnyRecord, Batch, JsonSchema } from '@ecokit/contracts'
import { openScanner } from '@ecokit/json-scan'
import type { Form } from '@ecokit/json-scan'
import { expect, test } from 'vitest'
import { corpus } from '../../../core/json-scan/test/corpus.ts'
import { openBoth, openWriter, readAll, sinks, table, writing } from './support.ts'

const typeOf = (form: Form): JsonSchema => {
  switch (form.kind) {
    case 'decimal':
      return { type: 'string', format: 'decimal', precision: form.precision, scale: form.scale }
    case 'timestamp':
      return { type: 'string', format: 'date-time' }
    case 'double':
      return { type: 'number' }
    case 'list':
      return { type: 'array', items: typeOf(form.item) }
    case 'map':
      return { type: 'object', additionalProperties: typeOf(form.value) }
    case 'struct':
      return {
        type: 'object',
        properties: Object.fromEntries(form.fields.map((field) => [field.name, typeOf(field.form)])),
        required: form.fields.filter(({ optional }) => optional !== true).map(({ name }) => name),
        additionalProperties: false,
      }
    case 'json':
      return {}
    default:
      return { type: form.kind }
  }
}

/** A value as every sink gives it back: times in UTC, decimals with all places of their column, doubles as they are rounded. */
const comeBack = (form: Form, value: unknown): unknown => {
  if (value === null) return null
  if (form.kind === 'double') return Number(value)
  if (form.kind === 'timestamp') {
    const text = value as string
    const digits = (/\.(\d+)/.exec(text)?.[1] ?? '').replace(/0+$/, '')
    const fraction = digits === '' ? '' : `.${digits.padEnd(digits.length > 3 ? 6 : 3, '0')}`
    return `${new Date(text).toISOString().slice(0, 19)}${fraction}Z`
  }
  if (form.kind === 'decimal') {
    const [whole, fraction = ''] = (typeof value === 'string' ? value : toJson(value)).split('.')
    return `${whole}.${fraction.padEnd(form.scale, '0')}`
  }
  if (form.kind === 'map')
    return Object.fromEntries(Object.entries(value as object).map(([name, item]) => [name, comeBack(form.value, item)]))
  return value
}

const forms = [...new Set(corpus.map(({ form }) => form))]
for (const sink of sinks)
  test(`${sink}: what the corpus takes is stored and read again as it is, as proven lines, as lines and as records`, async () => {
    const { connection } = await openBoth()
    let stored = 0
    for (const [index, form] of forms.entries()) {
      const given = corpus.filter((each) => each.form === form && 'row' in each.verdict)
      const record: Form = {
        kind: 'struct',
        unknownFields: 'strip',
        fields: [
          { name: 'k', form: { kind: 'integer' } },
          { name: 'v', form },
        ],
      }
      const page = Buffer.from(`[${given.map(({ text }, k) => `{"k":${k},"v":${text}}`).join(',')}]`)
      const { chunks, count, rejected } = openScanner(record).scan(page)
      expect([rejected, count]).toEqual([[], given.length])
      const bytes = Buffer.concat(chunks)
      const lines = bytes.toString('utf8').split('\n').slice(0, -1)
      const records = lines.map((line) => fromJson(line) as AnyRecord)
      const wanted = records.map(({ v }) => toJson(comeBack(form, v)))
      // As the engine hands records over: a double is a double.
      const rounded = records.map(({ k, v }) => ({ k, v: form.kind === 'double' ? Number(v) : v }))
      const batches: Record<string, Batch<AnyRecord>> = {
        proven: { encoding: 'ndjson', proven: true, bytes, count },
        lines: { encoding: 'ndjson', bytes, count },
        records: { encoding: 'records', records: rounded },
      }
      for (const [road, batch] of Object.entries(batches)) {
        const name = `${road}${index}`
        const schema = table({ k: { type: 'integer' }, v: typeOf(form) }, undefined, name)
        const writer = await openWriter(connection, writing(schema), sink)
        expect(await writer.write(batch)).toEqual({ rows: count, rejected: [] })
        await writer.commit(undefined, { final: true })
        await writer[Symbol.asyncDispose]()
        const found = await readAll(connection, name)
        deepStrictEqual(
          found.toSorted((one, other) => Number(one['k']) - Number(other['k'])).map(({ v }) => toJson(v ?? null)),
          wanted,
        )
        stored += found.length
      }
    }
    expect(stored).toBeGreaterThan(450)
  }, 120_000)
