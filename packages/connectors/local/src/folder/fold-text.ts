import { createReadStream } from 'node:fs'
import { appendFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { linesOf, parseLine } from '@ecokit/connect/writing'
import { makeFolder } from '../make-folder.ts'
import { rowMaker } from '../rows.ts'
import { rowFolder } from './partitions.ts'
import { textForm } from './text.ts'
import { checkedParts } from './written.ts'
import type { Column } from '../columns.ts'
import type { Segment } from '../segments.ts'
import type { Part } from './layout.ts'
import type { Partition } from './partitions.ts'

/** How much of all folders together waits in memory. */
const bufferBytes = 16_000_000

/** The lines of a segment in pieces of about a megabyte that end after a line. */
const linesIn = async function* ({ file }: Segment): AsyncIterable<Iterable<Uint8Array>> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(file, { highWaterMark: 1_000_000 })) {
    const read = Buffer.concat([rest, chunk as Buffer])
    const end = read.lastIndexOf(10) + 1
    rest = read.subarray(end)
    yield linesOf(read.subarray(0, end))
  }
  yield linesOf(rest)
}

interface TextFile {
  /** From the folder of `file` on. */
  readonly name: string
  rows: number
  waiting: (string | Uint8Array)[]
  begun: boolean
}

/** Makes CSV or NDJSON of a segment of lines: one file without partitions, else one for each folder. A file of NDJSON holds the lines as they are. */
export const foldText = async (
  table: {
    readonly format: 'csv' | 'ndjson'
    readonly columns: readonly Column[]
    readonly partitions: readonly Partition[]
  },
  segment: Segment,
  file: string,
): Promise<readonly Part[]> => {
  const { format, columns, partitions } = table
  const [base, ending] = [path.dirname(file), path.extname(file)]
  const { header, lineOf } = textForm(format, columns)
  const [makeRow, folderOfRow] = [rowMaker(columns), rowFolder(partitions, columns)]
  const files = new Map<string, TextFile>()
  let waiting = 0
  const openFile = (folder: string): TextFile => {
    // Numbered through, for file systems that do not tell folders `A` and `a` apart.
    const name = folder === '' ? path.basename(file) : `${folder}/${path.basename(file, ending)}-${files.size}${ending}`
    const opened = { name, rows: 0, waiting: [header], begun: false }
    files.set(folder, opened)
    return opened
  }
  const flush = async () => {
    for (const one of files.values()) {
      if (one.waiting.length === 0) continue
      const target = path.join(base, one.name)
      const data = Buffer.concat(one.waiting.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece)))
      if (!one.begun) await makeFolder(path.dirname(target))
      // What a process that died began here is written over.
      await (one.begun ? appendFile : writeFile)(target, data)
      one.begun = true
      one.waiting = []
    }
    waiting = 0
  }
  const newline = Buffer.from('\n')
  for await (const lines of linesIn(segment))
    for (const line of lines) {
      const row = makeRow(parseLine(line), true)
      const folder = folderOfRow(row)
      const one = files.get(folder) ?? openFile(folder)
      if (format === 'ndjson') one.waiting.push(line, newline)
      else one.waiting.push(lineOf(row))
      one.rows += 1
      waiting += line.length
      if (waiting >= bufferBytes) await flush()
    }
  await flush()
  const found = [...files.values()].map(({ name, rows }) => [name, rows] as const)
  return checkedParts(base, found, segment.rows)
}
