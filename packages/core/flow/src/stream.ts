import { integrationError } from '@ecokit/contracts'
import type { AnyRecord, Batch, Checkpoint, InvalidRecord, Written } from '@ecokit/contracts'
import { release } from '@ecokit/json-scan'
import { openAccount } from './account.ts'
import { hasPassed } from './clock.ts'
import { doublesIn } from './doubles.ts'
import type { Judge } from './judge.ts'
import type { Ledger } from './ledger.ts'
import { linesAt, recordsOf, withRecords } from './lines.ts'
import { openLoopGuard } from './loop.ts'
import { openMapper } from './mapping.ts'
import type { PlannedStream } from './plan.ts'
import { batchBytes, pump } from './pump.ts'
import { openRhythm } from './rhythm.ts'
import { nextState, type Pass } from './state.ts'
import type { Counts, Pipeline } from './types.ts'
import { broken, openWriter, quietly, type AnyWriter } from './writer.ts'

/** How often the store is told of commits that the sink keeps itself. */
const tellMs = 250

/** What a stream needs of its run. */
export interface StreamRunner {
  readonly run: string
  readonly pipeline: Pipeline
  readonly full: boolean
  readonly ledger: Ledger
  readonly signal: AbortSignal
  readonly now: () => number
  /** Undefined: as often as costs little. */
  readonly commitBytes: number | undefined
  /** Throws when this run may not commit any more: cancelled, or its lease is lost. */
  readonly fence: () => Promise<void>
  /** Keeps a sentence about the run beside its data. */
  readonly warn: (sentence: string) => void
  readonly onPass: (pass: Pass) => Promise<void>
  /** Told after each batch. */
  readonly onBatch: (counts: Counts) => void
  /** Told after each commit. */
  readonly onCommit: (counts: Counts) => void
  readonly requests: () => number
  /** Opens what the stream's quality rules say during this pass; undefined: it has none. */
  readonly openJudge: (planned: PlannedStream, pass: Pass, writer: AnyWriter) => Judge | undefined
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

const sizeOf = (batch: Batch<AnyRecord>): number => (batch.encoding === 'records' ? batch.records.length : batch.count)

/** The records that a sink refused, each as it was handed over. */
const refused = (batch: Batch<AnyRecord>, { rejected }: Written): readonly InvalidRecord[] => {
  const lines =
    batch.encoding === 'ndjson'
      ? linesAt(
          batch.bytes,
          rejected.map(({ index }) => index),
        )
      : undefined
  return rejected.map(({ index, reason }) => ({
    field: '',
    reason,
    record: batch.encoding === 'records' ? batch.records[index] : (lines?.get(index) ?? { index }),
  }))
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

/** Reads, maps, judges and writes batch after batch, and commits them with the checkpoint that holds for them. */
const copy = async (
  planned: PlannedStream,
  runner: StreamRunner,
  { key, pass, open }: Awaited<ReturnType<typeof openWriter>>,
  current: { writer: AnyWriter },
): Promise<void> => {
  const { pipeline, ledger, run, now, fence, signal } = runner
  const { stream, disposition, lagMs, table } = planned
  const { source, sink, sinkName, name: pipelineName } = pipeline
  await runner.onPass(pass)

  const { accepts: takes = ['records'], commit: manner } = sink.manifest.sinks?.[sinkName] ?? {}
  const transactional = manner === 'transaction'
  const map = openMapper(planned, source.name)
  const judge = runner.openJudge(planned, pass, current.writer)
  const guard = openLoopGuard(source.name, stream, planned.target.primaryKey !== undefined)
  const account = openAccount(ledger, pipelineName, stream)
  let checkpoint: Checkpoint | undefined
  let uncommittedBytes = 0
  const rhythm = openRhythm(pass, runner.commitBytes, now)
  let committedRead = 0
  let toldAt: number | undefined

  /** Records for a sink that takes no bytes. */
  const fitting = async (batch: Batch<AnyRecord>): Promise<Batch<AnyRecord>> => {
    if (takes.includes(batch.encoding)) return batch
    const read = recordsOf(batch)
    if (read === undefined) return batch // The sink says itself that it does not take it.
    await account.putAside(read.invalid)
    const round = doublesIn(planned.target.schema, planned.target.schema)
    return withRecords(batch, round === undefined ? read.records : (read.records.map(round) as AnyRecord[]))
  }
  let toldDeletes = planned.wanted.deletes === 'ignore'
  const withoutDeletes = (batch: Batch<AnyRecord>): Batch<AnyRecord> => {
    if (planned.deletes !== 'ignore' || batch.deleted === undefined) return batch
    const { deleted, ...rest } = batch
    if (!toldDeletes && deleted.length > 0)
      runner.warn(`${stream}: rows that the source has deleted stay: ${sink.name} cannot delete`)
    toldDeletes ||= deleted.length > 0
    return rest
  }
  /** Everything that happens to a batch between source and sink. */
  const prepare = async (read: Batch<AnyRecord>): Promise<Batch<AnyRecord>> => {
    let batch = withoutDeletes(read)
    if (map !== undefined) {
      const mapped = map(batch)
      await account.putAside(mapped.putAside)
      batch = mapped.batch
    }
    batch = await fitting(batch)
    if (judge === undefined) return batch
    const judged = await judge.judge(batch)
    await account.putAside(judged.putAside)
    return judged.batch
  }
  const write = async (read: Batch<AnyRecord>): Promise<void> => {
    const size = sizeOf(read)
    const bytes = batchBytes(read)
    guard(read, bytes)
    if (size + (read.deleted?.length ?? 0) === 0) return
    account.add({ read: size, bytes })
    const batch = await prepare(read)
    const count = sizeOf(batch)
    const deleted = batch.deleted?.length ?? 0
    uncommittedBytes += bytes
    if (count + deleted === 0) return
    // The next commit waits for these: they can be stored while the sink writes. A pass that commits only at its end waits for none.
    if (rhythm.isDue(uncommittedBytes, read.checkpoint !== undefined)) account.start()
    const written = await current.writer.write(batch, { signal })
    const settled = settle(sink.name, disposition === 'merge', count, written)
    await account.putAside(refused(batch, written))
    account.add({ ...settled, deleted })
    // Nobody has it but this engine, and the sink has written it.
    if (read.encoding === 'ndjson' && read.proven === true) release(read.bytes)
  }
  const commitNow = async (complete: boolean): Promise<void> => {
    if (!account.balanced())
      throw broken(pipelineName, `${stream}: what was read is not what was written and put aside`)
    await judge?.finish(current.writer, { counts: account.counts(), complete, signal })
    await account.store()
    await fence()
    const about = { run, table, source: checkpoint, complete, origin: pipeline.origin }
    const state = nextState(pass, { ...about, counts: account.counts() })
    const committed = await current.writer.commit(state, { signal, ...(complete && { final: true }) })
    account.add({ deleted: committed?.pruned ?? 0 })
    const counts = account.counts()
    runner.onCommit(counts)
    // Where the sink keeps the checkpoint itself, the store's copy is for show.
    if (!transactional || complete || toldAt === undefined || hasPassed(toldAt, now(), tellMs)) {
      const patch = { ...counts, requests: runner.requests() }
      await ledger.committed(key, nextState(pass, { ...about, counts }), stream, patch)
      toldAt = now()
    }
    committedRead = counts.read
    uncommittedBytes = 0
  }
  const commit = (complete: boolean): Promise<void> => rhythm.commit(() => commitNow(complete))

  const reading = new AbortController()
  const read = (onInvalid: (invalid: InvalidRecord) => void) => {
    if (source.read === undefined) throw broken(source.name, 'it has no streams to read')
    const either = AbortSignal.any([signal, reading.signal])
    const { columns } = planned.mapping
    const { since, until } = pass.window ?? {}
    return source.read(stream, {
      checkpoint: pass.from,
      lagMs,
      onInvalid,
      signal: either,
      ...(columns !== undefined && { columns }),
      ...(since !== undefined && { since }),
      ...(until !== undefined && { until }),
    })
  }
  let rowsWithoutCheckpoint = false
  let reads = true
  try {
    for await (const { batch, invalid, isLast } of pump(read, () => reading.abort(), signal)) {
      reads = false
      await account.putAside(invalid, { read: true })
      if (batch === undefined) break
      await write(batch)
      if (batch.checkpoint !== undefined) checkpoint = batch.checkpoint
      rowsWithoutCheckpoint = batch.checkpoint === undefined && uncommittedBytes > 0
      runner.onBatch(account.counts())
      // Rows that are ahead of the checkpoint would come again: a merge does not mind, an append would double them.
      const resumes = batch.checkpoint !== undefined
      const due = rhythm.isDue(uncommittedBytes, resumes && !isLast())
      if (due && (disposition === 'merge' || resumes)) await commit(false)
      reads = true
    }
  } catch (error) {
    // What the source gave before it failed need not be read again.
    const whole = pass.stepwise && (disposition === 'merge' || !rowsWithoutCheckpoint)
    if (reads && whole && !signal.aborted && account.counts().read > committedRead)
      await commit(false).catch(() => undefined)
    throw error
  }
  signal.throwIfAborted()
  if (rowsWithoutCheckpoint && disposition === 'append' && pass.mode === 'incremental')
    throw integrationError('invalid_reply', {
      partner: source.name,
      what: `${stream} ended without a checkpoint for its last records, and the next run would append them again`,
      next: 'Use merge, or full_refresh',
      details: {},
    })
  if (pass.prune && account.counts().quarantined > 0) {
    // A record that was put aside is still at the source: what it once brought may not be removed.
    await commit(false)
    await current.writer[Symbol.asyncDispose]()
    current.writer = await open(false)
    runner.warn(`${stream}: rows that the source no longer has were not looked for, because records were put aside`)
  }
  await commit(true)
}
