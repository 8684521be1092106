/** What is wrong with a CSV text, and where: line and column count from 1. */
export interface CsvFault {
  readonly fault: string
  readonly line: number
  readonly column: number
}
/** A cell; null when it is empty and not quoted. */
export type Cell = string | null
export interface CsvRecord {
  readonly cells: readonly Cell[]
  /** Where the record begins. */
  readonly line: number
}

const comma = 44
const quote = 34
const newline = 10
const carriageReturn = 13

/**
 * Reads CSV as RFC 4180 writes it and nothing else: a quote inside an unquoted cell, text after a closing quote, a bare carriage return, a quote
 * that is never closed or a record with more or fewer cells than the first one is a fault, which is thrown.
 */
export const csvReader = (): { push(text: string): readonly CsvRecord[]; end(): readonly CsvRecord[] } => {
  let state: 'start' | 'plain' | 'quoted' | 'closing' | 'return' = 'start'
  let cell = ''
  let cells: Cell[] = []
  let width: number | undefined
  let [line, column, recordLine] = [1, 1, 1]
  let opened: readonly [number, number] = [1, 1]
  let found: CsvRecord[] = []
  const fail = (fault: string, at: readonly [number, number] = [line, column]): never => {
    throw { fault, line: at[0], column: at[1] } satisfies CsvFault
  }
  const endCell = (value: Cell) => {
    cells.push(value)
    cell = ''
    state = 'start'
  }
  const endRecord = () => {
    width ??= cells.length
    if (cells.length !== width) fail(`${cells.length} cells where the header has ${width}`)
    found.push({ cells, line: recordLine })
    cells = []
  }
  const plainCell = () => endCell(cell === '' ? null : cell)
  const step = (code: number, character: string) => {
    if (state === 'quoted') {
      if (code === quote) state = 'closing'
      else cell += character
      return
    }
    if (state === 'return') {
      if (code !== newline) fail('a carriage return without a line feed')
      endRecord()
      state = 'start'
      return
    }
    if (code === quote) {
      if (state === 'plain') fail('a quote inside a cell that is not quoted')
      if (state === 'closing') cell += '"'
      else opened = [line, column]
      state = 'quoted'
      return
    }
    const end = code === comma || code === newline || code === carriageReturn
    if (!end) {
      if (state === 'closing') fail('text after the closing quote')
      cell += character
      state = 'plain'
      return
    }
    if (state === 'closing') endCell(cell)
    else plainCell()
    if (code === newline) endRecord()
    else if (code === carriageReturn) state = 'return'
  }
  const take = () => {
    const records = found
    found = []
    return records
  }
  return {
    push: (text) => {
      for (let index = 0; index < text.length;) {
        // Runs of ordinary characters are taken in one piece.
        if (state === 'quoted' || state === 'plain') {
          let stop = index
          for (; stop < text.length; stop += 1) {
            const code = text.charCodeAt(stop)
            if (code === quote || code === newline) break
            if (state === 'plain' && (code === comma || code === carriageReturn)) break
          }
          if (stop > index) {
            cell += text.slice(index, stop)
            column += stop - index
            index = stop
            continue
          }
        }
        const code = text.charCodeAt(index)
        if (state === 'start' && cells.length === 0) recordLine = line
        step(code, text.charAt(index))
        if (code === newline) {
          line += 1
          column = 1
        } else column += 1
        index += 1
      }
      return take()
    },
    end: () => {
      if (state === 'quoted') fail('a quote that is never closed', opened)
      if (state === 'return') fail('a carriage return without a line feed')
      if (state === 'closing') endCell(cell)
      else if (state === 'plain' || cells.length > 0) plainCell()
      if (cells.length > 0) endRecord()
      return take()
    },
  }
}
export const isCsvFault = (thrown: unknown): thrown is CsvFault =>
  typeof thrown === 'object' && thrown !== null && 'fault' in thrown
