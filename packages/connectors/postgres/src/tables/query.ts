import { integrationError } from '@ecokit/contracts'
import type { AnyRecord } from '@ecokit/contracts'
import { readingOf } from '../decode.ts'
import { qualified } from '../sql.ts'
import type { Session } from '../client.ts'

/** Types of PostgreSQL's own by their fixed numbers (pg_type.dat). */
const names: Readonly<Record<number, string>> = {
  16: 'bool',
  17: 'bytea',
  20: 'int8',
  21: 'int2',
  23: 'int4',
  26: 'oid',
  114: 'json',
  700: 'float8',
  701: 'float8',
  1082: 'date',
  1114: 'timestamp',
  1184: 'timestamptz',
  1700: 'numeric',
  3802: 'jsonb',
}

/** Puts tables in the place of `{table}` and `{table:name}`. */
const withTables = (sql: string, table: string, itself: string, schema: string): string =>
  sql.replace(/\{table(?::([^{}]+))?\}/g, (_, other: string | undefined) =>
    other === undefined || other === table ? itself : qualified(schema, other),
  )

/**
 * Asks within the open transaction. The text stands inside of one SELECT, which can hold no other statement, and no WITH that writes; the transaction is read only for as long, which
 * PostgreSQL does not let anybody take back before the savepoint is given up.
 */
export const ask = async (
  session: Session,
  sql: string,
  about: { readonly table: string; readonly itself: string; readonly schema: string; readonly partner: string },
): Promise<readonly AnyRecord[]> => {
  if (sql.includes('\0'))
    throw integrationError('invalid_input', {
      partner: about.partner,
      what: 'a query may not hold NUL',
      details: { field: 'query' },
    })
  const text = withTables(sql, about.table, about.itself, about.schema).replace(/;\s*$/, '')
  await session.run('SAVEPOINT ecokit_query; SET LOCAL transaction_read_only TO on')
  try {
    // On lines of its own, so that a comment at its end ends there.
    const { fields, rows } = await session.runOne(`SELECT * FROM (\n${text}\n) AS _ecokit_rows`)
    const readings = fields.map(({ name, dataTypeID, dataTypeModifier }) => ({
      name,
      decode: readingOf(names[dataTypeID] ?? '', dataTypeModifier).decode,
    }))
    return rows.map((row) =>
      Object.fromEntries(
        readings.map(({ name, decode }, index) => {
          const value = row[index] ?? null
          return [name, value === null ? null : decode(value)]
        }),
      ),
    )
  } finally {
    await session.run('ROLLBACK TO SAVEPOINT ecokit_query; RELEASE SAVEPOINT ecokit_query')
  }
}
