import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { cell } from './format.ts'
import { sorted } from './sort.ts'

export interface Column<T> {
  readonly name: string
  /** What it is sorted by, and shown as where nothing else is. */
  readonly value: (row: T) => unknown
  readonly show?: (row: T) => ComponentChildren
  /** Numbers stand on the right. */
  readonly number?: boolean
}

interface Props<T> {
  readonly label: string
  readonly rows: readonly T[]
  readonly columns: readonly Column<T>[]
  readonly identity: (row: T) => string
  /** The column and direction that it starts with. */
  readonly by?: string
  readonly descending?: boolean
}

/** A table that is sorted by a click or the keyboard on a column's head. */
export const Table = <T,>({ label, rows, columns, identity, by, descending = false }: Props<T>) => {
  const [order, setOrder] = useState({ by, descending })
  const column = columns.find((item) => item.name === order.by)
  const shown = column === undefined ? rows : sorted(rows, column.value, order.descending)
  const sort = (name: string): void =>
    setOrder((last) => ({ by: name, descending: last.by === name ? !last.descending : false }))
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map((item) => (
              <th
                key={item.name}
                class={item.number === true ? 'number' : ''}
                scope="col"
                aria-sort={order.by !== item.name ? 'none' : order.descending ? 'descending' : 'ascending'}
              >
                <button onClick={() => sort(item.name)}>
                  {item.name}
                  <i aria-hidden="true">{order.by !== item.name ? '' : order.descending ? ' ↓' : ' ↑'}</i>
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr key={identity(row)}>
              {columns.map((item) => {
                const text = cell(item.value(row))
                const own = item.show?.(row)
                return (
                  <td
                    key={item.name}
                    class={item.number === true ? 'number' : ''}
                    title={own === undefined && text.length > 40 ? text : undefined}
                  >
                    {own ?? text}
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
