import { integrationError, isIntegrationError, toIntegrationError, type IntegrationError } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import { isGone, newRunId } from './ids.ts'
import { takeLease, type PipelineLease } from './lease.ts'
import { buryRuns, ended, openLedger, type Ledger, type StreamPatch } from './ledger.ts'
import { describeJob, type LineageEvent, type StreamJob } from './lineage.ts'
import { openLineageLog, type LineageLog } from './lineage-log.ts'
import { planned as plan, type PlannedStream } from './plan.ts'
import { getRun } from './runs.ts'
import { syncStream } from './stream.ts'
import {
  noCounts,
  type Counts,
  type Failure,
  type PassMode,
  type Progress,
  type RunResult,
  type SyncOptions,
} from './types.ts'

const progressMs = 250
const lineageMs = 10_000
const defaultCommitBytes = 4 * 1024 * 1024

/** What all streams of one run share. */
interface Running {
  readonly id: string
  readonly options: SyncOptions
  readonly ledger: Ledger
  readonly controller: AbortController
  readonly fence: () => Promise<void>
  readonly log: LineageLog
  readonly warnings: string[]
  readonly now: () => number
}

/** Whoever watches must not stop the sync. */
const callQuietly = (call: () => void): void => {
  try {
    call()
  } catch {
    return
  }
}

const jobOf = (planned: PlannedStream, { id, options }: Running): StreamJob => {
  const { pipeline, lineage, namespace = 'default' } = options
  const { source, sink } = pipeline
  const { stream, table, target } = planned
  return {
    run: id,
    pipeline: pipeline.name,
    stream,
    namespace,
    data: {
      source: {
        partner: source.name,
        connector: source.manifest.id,
        name: stream,
        dataset: lineage?.dataset?.('source', stream),
      },
      sink: {
        partner: sink.name,
        connector: sink.manifest.id,
        name: table,
        dataset: lineage?.dataset?.('sink', table),
      },
      schema: target.schema,
    },
  }
}

/** Runs one stream and writes its account; gives the error that ended it, if one did. */
const runStream = async (planned: PlannedStream, running: Running): Promise<IntegrationError | undefined> => {
  const { options, ledger, controller, fence, log, now, id, warnings } = running
  const { pipeline, onProgress, full = false, commitBytes = defaultCommitBytes } = options
  const { stream } = planned
  const job = jobOf(planned, running)
  const requestsBefore = pipeline.requests?.() ?? 0
  const requests = (): number => (pipeline.requests?.() ?? 0) - requestsBefore
  let mode: PassMode = planned.mode
  let committed: Counts = noCounts
  let savedAt = now()
  let tracedAt: number | undefined

  const tell = (status: Progress['status'], counts: Counts): void => {
    callQuietly(() =>
      onProgress?.({ run: id, pipeline: pipeline.name, stream, status, mode, requests: requests(), ...counts }),
    )
  }
  const trace = (type: LineageEvent['eventType'], about: { counts?: Counts; error?: string } = {}): void => {
    const at = now()
    tracedAt = at
    log.emit(describeJob(job, { type, at, ...about }))
  }
  const finish = async (status: Progress['status'], error?: IntegrationError): Promise<void> => {
    const patch: StreamPatch = { status, ...committed, requests: requests(), ended_at: now() }
    await ledger.stream(stream, {
      ...patch,
      ...(error && { error_code: error.code, error_message: error.message }),
    })
    tell(status, committed)
  }

  try {
    controller.signal.throwIfAborted()
    await ledger.stream(stream, { status: 'running', started_at: now() })
    trace('START')
    tell('running', noCounts)
    await syncStream(planned, {
      run: id,
      pipeline,
      full,
      ledger,
      signal: controller.signal,
      now,
      commitBytes,
      fence,
      requests,
      warn: (sentence) => warnings.push(sentence),
      onPass: async (pass) => {
        mode = pass.mode
        await ledger.stream(stream, { mode })
      },
      onBatch: async (counts) => {
        if (now() - savedAt < progressMs) return
        savedAt = now()
        await ledger.stream(stream, { ...counts, requests: requests() })
        tell('running', counts)
      },
      onCommit: (counts) => {
        committed = counts
        if (now() - (tracedAt ?? 0) >= lineageMs) trace('RUNNING', { counts })
      },
    })
    trace('COMPLETE', { counts: committed })
    await finish('completed')
    return undefined
  } catch (thrown) {
    const cancelled = controller.signal.aborted
    const error = toIntegrationError(cancelled ? controller.signal.reason : thrown)
    const status = cancelled && error.code === 'cancelled' ? 'cancelled' : 'failed'
    if (tracedAt !== undefined)
      trace(status === 'cancelled' ? 'ABORT' : 'FAIL', { counts: committed, error: error.message })
    await finish(status, error)
    return error
  }
}

/** Marks dead runs and tells their end to whoever follows the lineage. */
const bury = async (
  store: Store,
  about: { readonly now: () => number; readonly namespace: string; readonly log: LineageLog },
  isDead: Parameters<typeof buryRuns>[2],
): Promise<readonly string[]> => {
  const { now, namespace, log } = about
  const dead = await buryRuns(store, now, isDead)
  const end = { type: 'FAIL', at: now(), error: ended.message } as const
  for (const { id, pipeline, streams } of dead)
    for (const stream of streams) log.emit(describeJob({ run: id, pipeline, stream, namespace }, end))
  return dead.map(({ id }) => id)
}

interface Outcome {
  readonly status: RunResult['status']
  readonly error?: Failure
}

const runAll = async (running: Running): Promise<Outcome> => {
  const { controller, options, warnings } = running
  const { pipeline, full = false } = options
  const { source, sink, sinkName } = pipeline
  const { signal } = controller
  const streams = await plan(source, sink, sinkName, pipeline.streams, { signal })
  await running.ledger.begin(streams)
  const failures: IntegrationError[] = []
  for (const planned of streams) {
    if (full && planned.mode === 'incremental' && planned.disposition === 'append')
      warnings.push(`${planned.stream}: read on from its checkpoint: appending everything again would double its rows`)
    const error = await runStream(planned, running)
    if (error !== undefined) failures.push(error)
  }
  signal.throwIfAborted()
  const [first, ...others] = failures
  if (first === undefined) return { status: 'completed' }
  const more = others.length === 0 ? '' : ` (and ${others.length} more of its streams failed)`
  return { status: 'failed', error: { code: first.code, message: first.message + more } }
}

/** How a run ended that threw: faults of partners belong into the run, faults of the configuration to whoever started it. */
const outcomeOf = (thrown: unknown, { controller }: Running): Outcome => {
  const error = toIntegrationError(controller.signal.aborted ? controller.signal.reason : thrown)
  const cancelled = controller.signal.aborted && error.code === 'cancelled'
  return { status: cancelled ? 'cancelled' : 'failed', error: { code: error.code, message: error.message } }
}

const cancelled = (pipeline: string, reason: unknown): IntegrationError =>
  isIntegrationError(reason)
    ? reason
    : integrationError('cancelled', { what: `the run of ${pipeline} was cancelled`, details: {} })

/** Runs a pipeline once. Faults of a partner fail the stream and the run, and are in the result; it throws `conflict` when another process runs the pipeline, and what is wrong with the pipeline itself. */
export const sync = async (options: SyncOptions): Promise<RunResult> => {
  const { pipeline, store, full = false, trigger = 'manual', signal, lineage, namespace = 'default' } = options
  const now = options.now ?? Date.now
  const { source, sink, sinkName, name } = pipeline
  if (signal?.aborted === true) throw cancelled(name, signal.reason)
  const controller = new AbortController()
  const cancel = (): void => {
    controller.abort(cancelled(name, signal?.reason))
  }
  signal?.addEventListener('abort', cancel)
  const id = newRunId()
  let lease: PipelineLease | undefined
  try {
    lease = await takeLease(store, name, id)
    const ledger = openLedger(store, id, now)
    const log = openLineageLog(store, lineage?.file)
    await bury(store, { now, namespace, log }, (run) => run.pipeline === name)
    await ledger.open({
      pipeline: name,
      source: source.name,
      sink: `${sink.name}.${sinkName}`,
      trigger,
      full: full ? 1 : 0,
      holder: lease.holder,
    })
    const keeper = lease.keep(ledger, controller, now)
    const running = { id, options, ledger, controller, fence: keeper.fence, log, now, warnings: [] as string[] }
    try {
      callQuietly(() => options.onStart?.({ id }))
      const { status, error } = await runAll(running)
      await ledger.finish(status, error, [...running.warnings, ...(await log.close())])
    } catch (thrown) {
      const { status, error } = outcomeOf(thrown, running)
      await ledger.finish(status, error, [...running.warnings, ...(await log.close())])
      if (isIntegrationError(thrown) && thrown.class === 'config' && !controller.signal.aborted) throw thrown
    } finally {
      await keeper.stop()
    }
  } finally {
    signal?.removeEventListener('abort', cancel)
    // A lease that cannot be given back runs out by itself.
    await lease?.release().catch(() => undefined)
  }
  const result = await getRun(store, id)
  if (result === undefined) throw toIntegrationError(new Error(`the run ${id} is gone from the store`))
  return result as RunResult
}

/** A run that has not been heard of for so long has lost its lease, on whichever machine it ran. */
const silentMs = 120_000

/** Marks the runs as failed whose process is gone, for hosts that start up; gives their ids. */
export const recoverRuns = async (
  store: Store,
  options: Pick<SyncOptions, 'lineage' | 'namespace' | 'now'> = {},
): Promise<readonly string[]> => {
  const { lineage, namespace = 'default', now = Date.now } = options
  const log = openLineageLog(store, lineage?.file)
  const ids = await bury(
    store,
    { now, namespace, log },
    ({ holder, heartbeat_at }) => isGone(holder) || now() - heartbeat_at > silentMs,
  )
  await log.close()
  return ids
}
