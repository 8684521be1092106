import { deepStrictEqual } from 'node:assert'
import path from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { jsonSchema } from '@ecokit/contracts'
import type { AnyRecord, Batch } from '@ecokit/contracts'
import { openScanner } from '@ecokit/json-scan'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { progressOf } from '../../../../tools/proofs/counts.ts'
import { columnsOf } from '../src/columns.ts'
import { readsProven } from '../src/proven.ts'
import { kinds } from './proven-kinds.ts'
import type { Both, Kind } from './proven-kinds.ts'
import { openBoth, openWriter, readAll, records, sinks, writing } from './support.ts'

const runs = Number(process.env['ECOKIT_SEGMENTS'] ?? 8)
const names = fc.constantFrom('', ' ', '"', "'", 'é', '.', '$', '%', '}', 'SELECT', '\\', '\n', '[0]', ';')

interface Example {
  readonly schema: z.ZodObject
  readonly rows: readonly (readonly (readonly [string, Both])[])[]
}
const kindOf = (name: string): Kind => {
  const kind = kinds[name]
  if (kind === undefined) throw new Error(name)
  return kind
}
const example: fc.Arbitrary<Example> = fc
  .tuple(
    fc.uniqueArray(fc.constantFrom(...Object.keys(kinds)), { minLength: 1, maxLength: 8 }),
    fc.array(names, { minLength: 8, maxLength: 8 }),
  )
  .chain(([chosen, ends]) => {
    const fields = chosen.map((name, index): readonly [string, Kind, boolean] => [
      `${name}${ends[index] ?? ''}`,
      kindOf(name),
      (ends[index] ?? '') < 'S',
    ])
    const cells = fields.map(([name, { values }, optional]) =>
      fc
        .option(values, { nil: undefined, freq: 6 })
        .chain((some) => (some === undefined && !optional ? values : fc.constant(some)))
        .map((both): readonly [string, Both] | undefined => (both === undefined ? undefined : [name, both])),
    )
    return fc
      .array(
        fc.tuple(...cells).chain((row) => fc.shuffledSubarray(row, { minLength: row.length })),
        { minLength: 1, maxLength: 12 },
      )
      .map((rows) => ({
        schema: z.object(
          Object.fromEntries(
            fields.map(([name, { schema }, optional]) => [name, optional ? schema.optional() : schema]),
          ),
        ),
        rows: rows.map((row) => row.flatMap((cell) => (cell === undefined ? [] : [cell]))),
      }))
  })

const lineOf = (row: readonly (readonly [string, Both])[]): string =>
  `{ ${row.map(([name, { text }]) => `${JSON.stringify(name)} :${text}`).join(',  ')} }`
/** The page's records as the scanner proves them. */
const prove = (schema: z.ZodObject, lines: readonly string[], engine: 'wasm' | 'javascript'): Batch<AnyRecord> => {
  const { chunks, count, rejected } = openScanner(schema, { engine }).scan(Buffer.from(`[${lines.join(',')}]`))
  expect(rejected).toEqual([])
  return { encoding: 'ndjson', proven: true, bytes: Buffer.concat(chunks), count }
}
const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`
const different = async (one: string, other: string): Promise<readonly unknown[]> => {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const sides = [`${one} EXCEPT ALL ${other}`, `${other} EXCEPT ALL ${one}`].map((sql) => `(${sql})`)
  try {
    return (await connection.runAndReadAll(sides.join(' UNION ALL '))).getRowsJson()
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

for (const sink of sinks)
  test(
    `${sink}: proven lines give the same rows as records and as lines that are parsed`,
    async () => {
      const { connection, folder } = await openBoth()
      let [number, direct] = [0, 0]
      const progress = progressOf(`${sink}, schemas`, runs)
      await fc.assert(
        fc.asyncProperty(example, fc.boolean(), async ({ schema, rows }, flip) => {
          number += 1
          progress()
          const described = { name: '', schema: jsonSchema(schema) }
          const proven = prove(schema, rows.map(lineOf), flip ? 'javascript' : 'wasm')
          if (readsProven(columnsOf({ ...described, name: 't' }, 'lake'))) direct += 1
          const { proven: _, ...unproven } = proven as Batch<AnyRecord> & { readonly proven: true }
          const given = rows.map((row) => Object.fromEntries(row.map(([name, { value }]) => [name, value])))
          const roads = { proven, reader: proven, parsed: unproven, records: records(...given) }
          const found: Record<string, readonly AnyRecord[]> = {}
          for (const [road, batch] of Object.entries(roads)) {
            // DuckDB's own reader of JSON, in the place of vectors that are filled here.
            if (road === 'reader') process.env['ECOKIT_VECTORS'] = 'off'
            const writer = await openWriter(connection, writing({ ...described, name: `${road}${number}` }), sink)
            delete process.env['ECOKIT_VECTORS']
            expect(await writer.write(batch)).toEqual({ rows: rows.length, rejected: [] })
            await writer.commit(undefined, { final: true })
            await writer[Symbol.asyncDispose]()
            found[road] = await readAll(connection, `${road}${number}`)
          }
          deepStrictEqual(found['proven'], found['records'])
          deepStrictEqual(found['reader'], found['records'])
          deepStrictEqual(found['parsed'], found['records'])
          // JavaScript puts keys that are digits before the others, and a map has no order.
          const selected = columnsOf({ ...described, name: 't' }, 'lake').map(({ name, type }) =>
            type.kind === 'map' ? `list_sort(map_entries(${identifier(name)}))` : identifier(name),
          )
          const from = (road: string) =>
            `SELECT ${selected.join(', ')} FROM read_parquet('${path.join(folder, `${road}${number}`)}/*.parquet')`
          // Bit by bit, as other tools see it.
          for (const road of sink === 'parquet' ? ['proven', 'reader'] : [])
            expect(await different(from(road), from('records'))).toEqual([])
        }),
        { numRuns: runs, seed: Number(process.env['ECOKIT_SEED'] ?? 20_261_122) },
      )
      // The property says nothing where every table has a column that only objects can fill.
      expect(direct).toBeGreaterThan(0)
    },
    60_000 + runs * 8000,
  )
