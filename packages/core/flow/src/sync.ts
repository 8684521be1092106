import { integrationError, isIntegrationError, toIntegrationError, type IntegrationError } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import { eachOf } from './each-of.ts'
import { fateOf, newRunId } from './ids.ts'
import { takeLease, type PipelineLease } from './lease.ts'
import { buryRuns, ended, openLedger } from './ledger.ts'
import { describeJob } from './lineage.ts'
import { openLineageLog, type LineageLog } from './lineage-log.ts'
import { openMeter } from './meter.ts'
import { backfillWindow, planRun } from './plan-run.ts'
import { invalid } from './refusals.ts'
import { callQuietly, runStream, type Running } from './run-stream.ts'
import { getRun } from './runs.ts'
import type { Failure, RunResult, SyncOptions } from './types.ts'

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
  const { controller, options, warnings, now } = running
  const { pipeline, full = false } = options
  const { signal } = controller
  const streams = await planRun(options, { signal, now, warn: (sentence) => warnings.push(sentence) })
  await running.ledger.begin(streams)
  const failures = new Map<number, IntegrationError>()
  const { parallel = 1 } = pipeline
  if (!Number.isSafeInteger(parallel) || parallel < 1)
    throw invalid(
      pipeline.source.name,
      'parallel',
      'how many streams are synced at a time is a whole number from 1 on',
      'Mend it',
    )
  await eachOf([...streams.entries()], parallel, async ([index, planned]) => {
    if (full && planned.mode === 'incremental' && planned.disposition === 'append' && planned.window === undefined)
      warnings.push(`${planned.stream}: read on from its checkpoint: appending everything again would double its rows`)
    const error = await runStream(planned, running)
    if (error !== undefined) failures.set(index, error)
  })
  signal.throwIfAborted()
  const [first, ...others] = [...failures].toSorted(([one], [other]) => one - other).map(([, error]) => error)
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
    const log = openLineageLog(store, lineage)
    await bury(store, { now, namespace, log }, (run) => run.pipeline === name)
    await ledger.open({
      pipeline: name,
      source: source.name,
      sink: `${sink.name}.${sinkName}`,
      trigger,
      full: full ? 1 : 0,
      holder: lease.holder,
      window: backfillWindow(options),
    })
    const keeper = lease.keep(ledger, controller, now)
    const running = {
      id,
      options,
      ledger,
      controller,
      fence: keeper.fence,
      log,
      now,
      warnings: [] as string[],
      meter: openMeter(pipeline.requests ?? (() => 0)),
    }
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
/** The same where its process is there: the clock may have been put forward. By then its number may be that of another process. */
const silentThereMs = 24 * 3_600_000

/** Marks the runs as failed whose process is gone, for hosts that start up; gives their ids. */
export const recoverRuns = async (
  store: Store,
  options: Pick<SyncOptions, 'lineage' | 'namespace' | 'now'> = {},
): Promise<readonly string[]> => {
  const { lineage, namespace = 'default', now = Date.now } = options
  const log = openLineageLog(store, lineage)
  const ids = await bury(store, { now, namespace, log }, ({ holder, heartbeat_at }) => {
    const fate = fateOf(holder)
    return fate === 'gone' || now() - heartbeat_at > (fate === 'there' ? silentThereMs : silentMs)
  })
  await log.close()
  return ids
}
