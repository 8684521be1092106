import type { DuckDBAppender, DuckDBConnection, DuckDBType, DuckDBValue } from '@duckdb/node-api'
import { sqlType } from './columns.ts'
import { toDuck, vectorType } from './duck-values.ts'
import { identifier } from './sql.ts'
import type { Column } from './columns.ts'
import type { Duck } from './database.ts'
import type { Stored } from './values.ts'

/** The most rows that a DuckDB vector holds. */
const chunkRows = 2048

/** A temporary table of one connection: outside the file and its log, gone with the connection. `_ecokit_order` counts the rows, `_ecokit_deleted` marks deletes. */
export interface Stage {
  readonly from: string
  readonly rows: () => number
  readonly hasDeletes: () => boolean
  add(rows: readonly (readonly Stored[])[], deleted: boolean): Promise<void>
  /** After this, SQL sees every row. */
  flush(): void
  clear(): Promise<void>
}

export const openStage = async (
  duck: Duck,
  connection: DuckDBConnection,
  columns: readonly Column[],
): Promise<Stage> => {
  const name = '_ecokit_rows'
  const from = `temp.main.${name}`
  const definitions = columns.map((column) => `${identifier(column.name)} ${sqlType(column.type)}`)
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE ${name} (${definitions.join(', ')}, _ecokit_order BIGINT, _ecokit_deleted BOOLEAN)`,
  )
  const types: readonly DuckDBType[] = [...columns.map(({ type }) => vectorType(duck, type)), duck.BIGINT, duck.BOOLEAN]
  const makers = columns.map(({ type }) => toDuck(duck, type))
  let appender: DuckDBAppender | undefined
  let rows = 0
  let deletes = 0
  const flush = () => {
    appender?.closeSync()
    appender = undefined
  }
  return {
    from,
    rows: () => rows,
    hasDeletes: () => deletes > 0,
    add: async (added, deleted) => {
      if (added.length === 0) return
      appender ??= await connection.createAppender(name, 'main', 'temp')
      for (let start = 0; start < added.length; start += chunkRows) {
        const part = added.slice(start, start + chunkRows)
        const vectors: DuckDBValue[][] = makers.map((make, index) => part.map((row) => make(row[index] ?? null)))
        vectors.push(
          part.map((_row, index) => BigInt(rows + index)),
          part.map(() => deleted),
        )
        const chunk = duck.DuckDBDataChunk.create(types)
        chunk.setColumns(vectors)
        appender.appendDataChunk(chunk)
        rows += part.length
      }
      if (deleted) deletes += added.length
    },
    flush,
    clear: async () => {
      flush()
      await connection.run(`TRUNCATE ${from}`)
      rows = 0
      deletes = 0
    },
  }
}
