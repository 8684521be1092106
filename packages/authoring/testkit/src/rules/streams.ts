import { isDeepStrictEqual } from 'node:util'
import { toJson } from '@ecokit/contracts'
import type { Checkpoint } from '@ecokit/contracts'
import { keyOf, readAll } from '../reading.ts'
import type { FullRead, ReadBatch } from '../reading.ts'
import type { Rule, RuleContext } from '../types.ts'

const hasStreams: NonNullable<Rule['applies']> = (manifest) => manifest.streams !== undefined
const largestBatch = 16 * 1024 * 1024
const mostResumes = 8

/** Each stream with what a full read of it brought. A stream that cannot be read is the business of `streams.rows` alone. */
const eachRead = async (
  context: RuleContext,
  look: (stream: string, read: FullRead) => void | Promise<void>,
): Promise<void> => {
  let looked = 0
  for (const stream of context.streams()) {
    const read = await context.full(stream).catch(() => undefined)
    if (read === undefined) continue
    looked += 1
    await look(stream, read)
  }
  if (looked === 0) context.skip('no stream can be read')
}

const keysOf = (context: RuleContext, stream: string, batches: readonly ReadBatch[]) => {
  const primaryKey = context.manifest.streams?.[stream]?.primaryKey
  return batches.flatMap(({ records }) => records.map((record) => keyOf(primaryKey, record)))
}

const copy = (checkpoint: Checkpoint) => JSON.parse(JSON.stringify(checkpoint)) as Checkpoint

/** The batches after which a read could be resumed, the last one included; at most `mostResumes`, spread evenly. */
const resumable = (read: FullRead): readonly { readonly at: number; readonly checkpoint: Checkpoint }[] => {
  const all = read.flatMap(({ checkpoint }, at) => (checkpoint === undefined ? [] : [{ at, checkpoint }]))
  const step = Math.max(1, (all.length - 1) / (mostResumes - 1))
  const chosen = new Set(
    Array.from({ length: Math.min(all.length, mostResumes) }, (_, index) => all[Math.round(index * step)]),
  )
  return [...chosen].filter((each) => each !== undefined)
}

const resume = (context: RuleContext, stream: string, checkpoint: Checkpoint) =>
  context.within(
    `reading ${stream} on from a checkpoint`,
    readAll(context.connect(), stream, { ...context.options.streams?.[stream]?.options, checkpoint: copy(checkpoint) }),
  )

export const streamRules: readonly Rule[] = [
  {
    id: 'streams.rows',
    title: 'Every stream can be read to its end, holds records, and each of them fits its schema',
    applies: hasStreams,
    run: async ({ streams, full, options, fail }) => {
      for (const stream of streams()) {
        const read = await full(stream).catch((error: unknown) =>
          fail(`${stream}: ${error instanceof Error ? error.message : JSON.stringify(error)}`),
        )
        if (read.some(({ readable }) => !readable)) continue
        const records = read.reduce((sum, batch) => sum + batch.records.length, 0)
        const atLeast = options.streams?.[stream]?.atLeast ?? 1
        if (records < atLeast)
          fail(`${stream} holds ${records} records; the kit was told to expect at least ${atLeast}`)
      }
    },
  },
  {
    id: 'streams.keys',
    title: 'A primary key is there in every record, and in no two',
    applies: hasStreams,
    run: (context) =>
      eachRead(context, (stream, read) => {
        const primaryKey = context.manifest.streams?.[stream]?.primaryKey
        if (primaryKey === undefined) return
        const records = read.flatMap((batch) => batch.records)
        for (const field of primaryKey)
          if (records.some((record) => record[field] === undefined || record[field] === null))
            context.fail(`${stream}: ${field} is missing in a record`)
        const keys = new Set(records.map((record) => keyOf(primaryKey, record)))
        if (keys.size < records.length)
          context.fail(`${stream}: ${records.length - keys.size} records have a key that another has too`)
      }),
  },
  {
    id: 'streams.bounded',
    title: 'Batches are bounded: none is larger than 16 MiB',
    applies: hasStreams,
    run: (context) =>
      eachRead(context, (stream, read) => {
        const largest = Math.max(0, ...read.map(({ bytes }) => bytes))
        if (largest > largestBatch) context.fail(`${stream}: a batch holds ${largest} bytes`)
      }),
  },
  {
    id: 'streams.checkpoint',
    title: 'Checkpoints are plain JSON, and a stream with a cursor ends with one',
    applies: hasStreams,
    run: (context) =>
      eachRead(context, (stream, read) => {
        for (const { checkpoint } of read) {
          if (checkpoint === undefined) continue
          // toJson first: JSON.stringify throws on a bigint, which is no JSON either.
          const whole = isDeepStrictEqual(JSON.parse(toJson(checkpoint)), checkpoint)
          if (!whole)
            context.fail(`${stream}: a checkpoint is not the same after a way through JSON: ${toJson(checkpoint)}`)
        }
        const cursor = context.manifest.streams?.[stream]?.cursor
        if (cursor !== undefined && !read.some(({ checkpoint }) => checkpoint !== undefined))
          context.fail(`${stream} has the cursor ${cursor} and gives no checkpoint to go on from`)
      }),
  },
  {
    id: 'streams.resume',
    title: 'What came before a checkpoint and what a read from it brings are together everything',
    applies: hasStreams,
    run: (context) =>
      eachRead(context, async (stream, read) => {
        if (read.some(({ readable }) => !readable)) return
        const all = new Set(keysOf(context, stream, read))
        for (const { at, checkpoint } of resumable(read)) {
          const rest = await resume(context, stream, checkpoint)
          const found = new Set([...keysOf(context, stream, read.slice(0, at + 1)), ...keysOf(context, stream, rest)])
          const lost = [...all].filter((key) => !found.has(key))
          if (lost.length > 0)
            context.fail(
              `${stream}: ${lost.length} records are lost when a read goes on after batch ${at + 1}, such as ${String(lost[0])}`,
            )
        }
      }),
  },
  {
    id: 'streams.forward',
    title: 'A later checkpoint never brings more than an earlier one',
    applies: hasStreams,
    run: (context) =>
      eachRead(context, async (stream, read) => {
        if (read.some(({ readable }) => !readable)) return
        let before = keysOf(context, stream, read).length
        for (const { at, checkpoint } of resumable(read)) {
          const count = keysOf(context, stream, await resume(context, stream, checkpoint)).length
          if (count > before)
            context.fail(
              `${stream}: the checkpoint of batch ${at + 1} brings ${count} records, more than the ${before} before it`,
            )
          before = count
        }
      }),
  },
  {
    id: 'discover.tables',
    title: 'Discovered tables have names of their own and columns, and can be read',
    applies: (manifest) => manifest.discovers === true,
    run: async ({ connect, within, fail, skip }) => {
      const connection = connect()
      const tables = await within('discover', Array.fromAsync(connection.discover?.() ?? []))
      const [first] = tables
      if (first === undefined) return skip('the partner holds no table')
      if (new Set(tables.map(({ name }) => name)).size < tables.length) fail('two tables have the same name')
      for (const { name, schema, primaryKey = [], fault } of tables) {
        if (fault !== undefined) {
          fail(`${name} cannot be described: ${fault.message}`)
          continue
        }
        const columns = Object.keys(schema['properties'] ?? {})
        if (columns.length === 0) fail(`${name} has no columns`)
        const strange = primaryKey.find((field) => !columns.includes(field))
        if (strange !== undefined) fail(`${name}: the primary key ${strange} is no column`)
        for (const batch of await within(`reading ${name}`, readAll(connection, name, {})))
          for (const column of batch.records.flatMap((record) => Object.keys(record)))
            if (!columns.includes(column)) fail(`${name}: the records have ${column}, which discover does not tell of`)
      }
    },
  },
]
