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
  /** Where the record begins, and its last line. */
  readonly line: number
  readonly end: number
}
/** A record that is none, as it stands there. */
export interface CsvBroken extends CsvFault {
  readonly text: string
  readonly end: number
}

/** No more of a broken record is kept: a quote that is never closed takes the whole file. */
const longestText = 10_000
const comma = 44
const quote = 34
const newline = 10
const carriageReturn = 13

export type CsvFound = CsvRecord | CsvBroken
/**
 * Reads CSV as RFC 4180 writes it and nothing else: a quote inside an unquoted cell, text after a closing quote, a bare carriage return, a quote
 * that is never closed or a record with more or fewer cells than the first one is a fault. It goes on behind the end of the line.
 */
export const csvReader = (): { push(text: string): readonly CsvFound[]; end(): readonly CsvFound[] } => {
  let state: 'start' | 'plain' | 'quoted' | 'closing' | 'return' | 'broken' = 'start'
  let cell = ''
  let cells: Cell[] = []
  let width: number | undefined
  let [line, column, recordLine] = [1, 1, 1]
  let opened: readonly [number, number] = [1, 1]
  let found: CsvFound[] = []
  let fault: CsvFault | undefined
  // The text of the record that is read: what earlier pieces hold of it, and where it begins in this one.
  let [carried, start] = ['', 0]
  const fail = (what: string, at: readonly [number, number] = [line, column]): undefined => {
    fault ??= { fault: what, line: at[0], column: at[1] }
    state = 'broken'
  }
  const endCell = (value: Cell) => {
    cells.push(value)
    cell = ''
    state = 'start'
  }
  const endRecord = () => {
    width ??= cells.length
    if (cells.length !== width) fail(`${cells.length} cells where the header has ${width}`)
    else found.push({ cells, line: recordLine, end: line })
    cells = []
  }
  const endBroken = (text: string) => {
    if (fault !== undefined) found.push({ ...fault, end: line, text: text.slice(0, longestText).replace(/\r?\n$/, '') })
    fault = undefined
    cells = []
    cell = ''
    state = 'start'
  }
  const plainCell = () => endCell(cell === '' ? null : cell)
  const step = (code: number, character: string) => {
    if (state === 'broken') return
    if (state === 'quoted') {
      if (code === quote) state = 'closing'
      else cell += character
      return
    }
    if (state === 'return') {
      if (code !== newline) {
        fail('a carriage return without a line feed')
        return
      }
      state = 'start'
      endRecord()
      return
    }
    if (code === quote) {
      if (state === 'plain') {
        fail('a quote inside a cell that is not quoted')
        return
      }
      if (state === 'closing') cell += '"'
      else opened = [line, column]
      state = 'quoted'
      return
    }
    const end = code === comma || code === newline || code === carriageReturn
    if (!end) {
      if (state === 'closing') {
        fail('text after the closing quote')
        return
      }
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
        if (state === 'start' && cells.length === 0 && carried === '' && index === start) recordLine = line
        step(code, text.charAt(index))
        index += 1
        if (code === newline) {
          if ((state as string) === 'broken') endBroken(carried + text.slice(start, index))
          if (state === 'start' && cells.length === 0) [carried, start] = ['', index]
          line += 1
          column = 1
        } else column += 1
      }
      carried += text.slice(start)
      start = 0
      return take()
    },
    end: () => {
      if (state === 'quoted') fail('a quote that is never closed', opened)
      if (state === 'return') fail('a carriage return without a line feed')
      if (state === 'closing') endCell(cell)
      else if (state === 'plain' || (state === 'start' && cells.length > 0)) plainCell()
      if (state === 'start' && cells.length > 0) endRecord()
      if ((state as string) === 'broken') endBroken(carried)
      return take()
    },
  }
}
