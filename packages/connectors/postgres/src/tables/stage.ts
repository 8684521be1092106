import { identifier, identifiers } from '@ecokit/connect/writing'
import type { Session } from '../client.ts'
import type { Column } from '../columns.ts'
import type { Row } from '../rows.ts'

/** Rows that wait for their commit, in a temporary table of the session: `_ecokit_order` counts them, `_ecokit_deleted` marks deletes. */
export interface Stage {
  readonly from: string
  readonly rows: () => number
  readonly hasDeletes: () => boolean
  /** The columns of a COPY into it. */
  readonly copy: string
  /** What follows a row's own text. */
  tail(place: number, deleted: boolean): string
  /** Notes rows that a COPY has put there. */
  added(count: number, deletes: number): void
  /** Removes them, inside of the transaction that made something of them; `forget` when it is committed. */
  truncate(): Promise<void>
  forget(): void
}

export const openStage = async (session: Session, columns: readonly Column[]): Promise<Stage> => {
  const name = '_ecokit_stage'
  const from = `pg_temp.${name}`
  const definitions = columns.map((column) => `${identifier(column.name)} ${column.sql}`)
  await session.run(
    `DROP TABLE IF EXISTS ${from}; CREATE TEMP TABLE ${name} (${definitions.join(', ')}, _ecokit_order bigint, _ecokit_deleted boolean)`,
  )
  let rows = 0
  let deletes = 0
  return {
    from,
    rows: () => rows,
    hasDeletes: () => deletes > 0,
    copy: `COPY ${from} (${identifiers(columns.map((column) => column.name))}, _ecokit_order, _ecokit_deleted) FROM STDIN`,
    tail: (place, deleted) => `\t${rows + place}\t${deleted ? 't' : 'f'}`,
    added: (count, more) => {
      rows += count
      deletes += more
    },
    truncate: async () => {
      if (rows > 0) await session.run(`TRUNCATE ${from}`)
    },
    forget: () => {
      rows = 0
      deletes = 0
    },
  }
}

const chunkLength = 1 << 18
/** Rows as the chunks of a COPY. */
export const chunksOf = function* (rows: readonly Row[], tail: (index: number) => string): Iterable<Buffer> {
  let text = ''
  for (const [index, row] of rows.entries()) {
    text += `${row.text}${tail(index)}\n`
    if (text.length >= chunkLength) {
      yield Buffer.from(text)
      text = ''
    }
  }
  if (text !== '') yield Buffer.from(text)
}
