import { z } from 'zod'
import type { AnyConnector, AnyRecord, Batch, CallOptions, Http, Writer, WriteOptions } from '@ecokit/contracts'
import type { ConformanceOptions } from '../src/index.ts'
import { Note, notes, notesCapability } from './notes.ts'

/** A connector that breaks one rule, and that one only. */
export interface Bad {
  readonly rule: string
  /** What it does wrong. */
  readonly does: string
  readonly connector: AnyConnector
  readonly options?: (options: ConformanceOptions) => ConformanceOptions
}

type Session = ReturnType<typeof notes.open>
type Opening = Parameters<typeof notes.open>[0]
type Operations = Session['provides']['notes']
type Change = (session: Session, opening: Opening) => object

/** The good connector with another manifest, or with a session that was tampered with. */
export const bend = (manifest: object, change: Change = () => ({})): AnyConnector => ({
  contract: 1,
  manifest: { ...notes.manifest, ...manifest },
  open: (opening: Opening) => {
    const good = notes.open(opening)
    return { ...good, ...change(good, opening) }
  },
})
export const bendOperations = (
  change: (operations: Operations, opening: Opening) => Partial<Operations>,
): AnyConnector =>
  bend({}, ({ provides }, opening) => ({
    provides: { notes: { ...provides.notes, ...change(provides.notes, opening) } },
  }))
export const bendBatches = (change: (batch: Batch<z.input<typeof Note>>) => Batch<AnyRecord>): AnyConnector =>
  bend({}, ({ read }) => ({
    read: {
      async *notes(options: Parameters<typeof read.notes>[0]) {
        for await (const batch of read.notes(options)) yield change(batch)
      },
    },
  }))
export const records = (batch: Batch<z.input<typeof Note>>) => (batch.encoding === 'records' ? batch.records : [])
type Table = Writer<AnyRecord>
export const bendTable = (
  change: (writer: Table, options: WriteOptions, opening: Opening) => Partial<Table>,
): AnyConnector =>
  bend({}, ({ write }, opening) => ({
    write: {
      ...write,
      tables: async (options: WriteOptions) => {
        const writer = await write.tables(options)
        return { ...writer, ...change(writer, options, opening) }
      },
    },
  }))
export const withTables = (change: (options: WriteOptions) => WriteOptions): AnyConnector =>
  bend({}, ({ write }) => ({ write: { ...write, tables: (options: WriteOptions) => write.tables(change(options)) } }))

export const operation = (changes: object) => ({
  provides: { notes: { ...notesCapability, operations: { ...notesCapability.operations, ...changes } } },
})
export const config = (fields: z.ZodRawShape) => notes.manifest.config.extend(fields)
export const unread = (options: ConformanceOptions): ConformanceOptions => {
  const { readme: _readme, ...rest } = options
  return rest
}
export const Page = z.object({ items: z.array(Note), next: z.string().optional() })
export const getPage = (api: Http, from: string, options: CallOptions) =>
  api.json({ method: 'GET', path: 'notes', query: { from } }, Page, options)
