import { integrationError, toJson } from '@ecokit/contracts'
import type { AnyRecord, Batch, Checkpoint, InvalidRecord, Writer, Written } from '@ecokit/contracts'
import type { Ledger } from './ledger.ts'
import type { PlannedStream } from './plan.ts'
import { batchBytes, pump } from './pump.ts'
import { decidePass, nextState, readState, type FlowState, type Pass } from './state.ts'
import { noCounts, type Counts, type Pipeline } from './types.ts'

/** How long written rows wait for their commit where the source is slow. */
const commitMs = 1_000
const storedRecordBytes = 64 * 1024
/** Quarantined records that are held before they are stored. */
const heldRecords = 200

/** What a stream needs of its run. */
export interface StreamRunner {
  readonly run: string
  readonly pipeline: Pipeline
  readonly full: boolean
  readonly ledger: Ledger
  readonly signal: AbortSignal
  readonly now: () => number
  readonly commitBytes: number
  /** Throws when this run may not commit any more: cancelled, or its lease is lost. */
  readonly fence: () => Promise<void>
  /** Keeps a sentence about the run beside its data. */
  readonly warn: (sentence: string) => void
  readonly onPass: (pass: Pass) => Promise<void>
  /** Told after each batch. */
  readonly onBatch: (counts: Counts) => Promise<void>
  /** Told after each commit. */
  readonly onCommit: (counts: Counts) => void
  readonly requests: () => number
}

type AnyWriter = Writer<AnyRecord>

/** For a writer whose work failed already: how it ends is no news. */
const quietly = async (writer: AnyWriter): Promise<void> => {
  try {
    await writer[Symbol.asyncDispose]()
  } catch {
    return
  }
}

const broken = (sink: string, what: string) =>
  integrationError('internal', { partner: sink, what, next: 'Report it to the maker of the connector', details: {} })

/** The state to go on from. One that another source left behind would hide everything that is older than its checkpoint. */
const sameOrigin = (
  { name, origin, source }: StreamRunner['pipeline'],
  { stream, mode, table }: PlannedStream,
  found: FlowState | undefined,
  full: boolean,
): FlowState | undefined => {
  if (found?.origin === undefined || origin === undefined || found.origin === origin) return found
  if (!full && mode !== 'full_refresh')
    throw integrationError('invalid_config', {
      partner: source.name,
      what: `the checkpoint of ${name}/${stream} was made on ${found.origin}, and the source is now ${origin}`,
      next: `Run it once with --full, which reads everything from the new source and removes from table ${table} what it does not have, or give the stream another table or the pipeline another name`,
      details: { field: `pipelines.${name}.source` },
    })
  return undefined
}

const openWriter = async (planned: PlannedStream, runner: StreamRunner) => {
  const { pipeline, run, ledger, full, now, signal } = runner
  const { sink, sinkName, reconcileEveryMs } = pipeline
  const { target: table, disposition } = planned
  const key = `${pipeline.name}/${planned.stream}`
  const open = async (prune: boolean): Promise<AnyWriter> => {
    if (sink.write === undefined) throw broken(sink.name, 'it has no sinks to write to')
    return sink.write(sinkName, { table, disposition, run, key, signal, ...(prune && { prune }) })
  }
  const writer = await open(false)
  try {
    const transactional = sink.manifest.sinks?.[sinkName]?.commit === 'transaction'
    const noted = readState(await ledger.state(key), planned.table)
    const found = transactional ? readState(await writer.resumesFrom({ signal }), planned.table) : noted
    if (found !== undefined && (found.run !== noted?.run || found.counts.read !== noted.counts.read))
      await ledger.correct(planned.stream, found)
    const before = sameOrigin(pipeline, planned, found, full)
    const pass = decidePass(planned, before, { full, now: now(), reconcileEveryMs, noted })
    if (!pass.prune) return { key, writer, pass, open }
    // Only the sink knows where the stream stands, and a writer must know from its beginning that it prunes.
    await writer[Symbol.asyncDispose]()
    return { key, writer: await open(true), pass, open }
  } catch (error) {
    await quietly(writer)
    throw error
  }
}

const shorten = (record: unknown): string => {
  const text = toJson(record) as string | undefined
  return (text ?? String(record)).slice(0, storedRecordBytes)
}

/** How many of a batch's records the sink stored, refused and found twice; throws when that is not all of them. */
const settle = (sink: string, merges: boolean, count: number, { rows, rejected }: Written) => {
  const deduplicated = count - rows - rejected.length
  if (!(rows >= 0) || deduplicated < 0 || (deduplicated > 0 && !merges))
    throw broken(
      sink,
      `the sink was given ${count} records and says that it stored ${rows} and refused ${rejected.length}`,
    )
  return { written: rows, deduplicated }
}

/** Syncs one stream to its end, or to the error that it throws; `onCommit` has told what was committed by then. */
export const syncStream = async (planned: PlannedStream, runner: StreamRunner): Promise<void> => {
  const opened = await openWriter(planned, runner)
  const current = { writer: opened.writer }
  try {
    await copy(planned, runner, opened, current)
  } catch (error) {
    await quietly(current.writer)
    throw error
  }
  await current.writer[Symbol.asyncDispose]()
}

const copy = async (
  planned: PlannedStream,
  runner: StreamRunner,
  { key, pass, open }: Awaited<ReturnType<typeof openWriter>>,
  current: { writer: AnyWriter },
): Promise<void> => {
  const { pipeline, ledger, run, now, fence, signal } = runner
  const { stream, disposition, lagMs, table } = planned
  const { source, sink, name: pipelineName } = pipeline
  await runner.onPass(pass)

  let counts: Counts = noCounts
  let checkpoint: Checkpoint | undefined
  let uncommittedBytes = 0
  let committedAt = now()
  let held: Parameters<Ledger['quarantine']>[0][number][] = []

  const putAside = async (field: string, reason: string, record: unknown): Promise<void> => {
    held.push({ pipeline: pipelineName, stream, field, reason, record: shorten(record) })
    if (held.length >= heldRecords) await storeHeld()
  }
  const storeHeld = async (): Promise<void> => {
    const rows = held
    held = []
    await ledger.quarantine(rows)
  }
  const take = async (invalid: readonly InvalidRecord[]): Promise<void> => {
    for (const { field, reason, record } of invalid) await putAside(field, reason, record)
    const { length } = invalid
    counts = { ...counts, read: counts.read + length, quarantined: counts.quarantined + length }
  }
  const write = async (batch: Batch<AnyRecord>): Promise<void> => {
    const count = batch.encoding === 'records' ? batch.records.length : batch.count
    const deleted = batch.deleted?.length ?? 0
    if (count + deleted === 0) return
    const bytes = batchBytes(batch)
    const written = await current.writer.write(batch, { signal })
    for (const { index, reason } of written.rejected)
      await putAside('', reason, batch.encoding === 'records' ? batch.records[index] : { index })
    const settled = settle(sink.name, disposition === 'merge', count, written)
    uncommittedBytes += bytes
    counts = {
      read: counts.read + count,
      written: counts.written + settled.written,
      quarantined: counts.quarantined + written.rejected.length,
      deduplicated: counts.deduplicated + settled.deduplicated,
      deleted: counts.deleted + deleted,
      bytes: counts.bytes + bytes,
    }
  }
  const commit = async (complete: boolean): Promise<void> => {
    if (counts.read !== counts.written + counts.quarantined + counts.deduplicated)
      throw broken(pipelineName, `${stream}: read ${counts.read} is not what was written and put aside`)
    await storeHeld()
    await fence()
    const about = { run, table, counts, source: checkpoint, complete, origin: pipeline.origin }
    const committed = await current.writer.commit(nextState(pass, about), { signal, ...(complete && { final: true }) })
    counts = { ...counts, deleted: counts.deleted + (committed?.pruned ?? 0) }
    runner.onCommit(counts)
    const patch = { ...counts, requests: runner.requests() }
    await ledger.committed(key, nextState(pass, { ...about, counts }), stream, patch)
    uncommittedBytes = 0
    committedAt = now()
  }

  const reading = new AbortController()
  const read = (onInvalid: (invalid: InvalidRecord) => void) => {
    if (source.read === undefined) throw broken(source.name, 'it has no streams to read')
    const either = AbortSignal.any([signal, reading.signal])
    return source.read(stream, { checkpoint: pass.from, lagMs, onInvalid, signal: either })
  }
  let rowsWithoutCheckpoint = false
  for await (const { batch, invalid } of pump(read, () => reading.abort())) {
    await take(invalid)
    if (batch === undefined) break
    await write(batch)
    if (batch.checkpoint !== undefined) checkpoint = batch.checkpoint
    rowsWithoutCheckpoint = batch.checkpoint === undefined && uncommittedBytes > 0
    await runner.onBatch(counts)
    const due = uncommittedBytes >= runner.commitBytes || now() - committedAt >= commitMs
    // Rows that are ahead of the checkpoint would come again: a merge does not mind, an append would double them.
    if (pass.stepwise && due && (disposition === 'merge' || batch.checkpoint !== undefined)) await commit(false)
  }
  signal.throwIfAborted()
  if (rowsWithoutCheckpoint && disposition === 'append' && pass.mode === 'incremental')
    throw integrationError('invalid_reply', {
      partner: source.name,
      what: `${stream} ended without a checkpoint for its last records, and the next run would append them again`,
      next: 'Use merge, or full_refresh',
      details: {},
    })
  if (pass.prune && counts.quarantined > 0) {
    // A record that was put aside is still at the source: what it once brought may not be removed.
    await commit(false)
    await current.writer[Symbol.asyncDispose]()
    current.writer = await open(false)
    runner.warn(`${stream}: rows that the source no longer has were not looked for, because records were put aside`)
  }
  await commit(true)
}
