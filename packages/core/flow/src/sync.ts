import { integrationError, isIntegrationError, toIntegrationError, type IntegrationError } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import { hasPassed } from './clock.ts'
import { fateOf, newRunId } from './ids.ts'
import { takeLease, type PipelineLease } from './lease.ts'
import { buryRuns, ended, openLedger, type Ledger, type StreamPatch } from './ledger.ts'
import { describeJob, type LineageEvent, type StreamJob } from './lineage.ts'
import { openLineageLog, type LineageLog } from './lineage-log.ts'
import type { PlannedStream } from './plan.ts'
import { openStreamQuality, type Quality } from './quality.ts'
import { storeQuality, warningsOf } from './quality-results.ts'
import { backfillWindow, planRun, type RunStream } from './plan-run.ts'
import { invalid } from './refusals.ts'
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
  /** Counts the requests of one stream from now on. */
  readonly meter: () => Meter
}

/** Counts the requests of one stream. */
interface Meter {
  /** How many it has made so far. */
  (): number
  /** To be called when it makes none any more. */
  readonly end: () => void
}
/** Gives each request of the source to one of the streams that run, whichever asks first. */
const openMeter = (total: () => number): (() => Meter) => {
  let seen = 0
  let running = 0
  return () => {
    let own = 0
    if (running === 0) seen = total()
    running += 1
    const count = (): number => {
      const now = total()
      own += now - seen
      seen = now
      return own
    }
    return Object.assign(count, { end: () => (running -= 1) })
  }
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
const runStream = async (planned: RunStream, running: Running): Promise<IntegrationError | undefined> => {
  const { options, ledger, controller, fence, log, now, id, warnings, meter } = running
  const { pipeline, onProgress, full = false, commitBytes = defaultCommitBytes } = options
  const { stream } = planned
  const job = jobOf(planned, running)
  const requests = meter()
  let mode: PassMode = planned.window === undefined ? planned.mode : 'backfill'
  let committed: Counts = noCounts
  let savedAt = now()
  let tracedAt: number | undefined
  let saving: Promise<void> | undefined
  let quality: Quality | undefined

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
    await saving
    if (quality !== undefined) {
      const results = quality.results()
      warnings.push(...warningsOf(stream, results))
      await storeQuality(options.store, { run: id, pipeline: pipeline.name, stream, at: now() }, results)
    }
    const patch: StreamPatch = { status, ...committed, requests: requests(), ended_at: now() }
    await ledger.stream(stream, {
      ...patch,
      ...(error && { error_code: error.code, error_message: error.message }),
    })
    tell(status, committed)
  }

  try {
    controller.signal.throwIfAborted()
    if (planned.halted !== undefined) throw planned.halted
    await ledger.stream(stream, { status: 'running', started_at: now() })
    trace('START')
    tell('running', noCounts)
    if (!planned.skipped)
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
          await planned.agree()
          await ledger.stream(stream, { mode })
        },
        onBatch: (counts) => {
          if (!hasPassed(savedAt, now(), progressMs)) return
          savedAt = now()
          tell('running', counts)
          // What is shown may be late where the store is slow: the sync does not wait for it, and does not end with it.
          saving ??= ledger
            .stream(stream, { ...counts, requests: requests() })
            .catch(() => undefined)
            .finally(() => {
              saving = undefined
            })
        },
        onCommit: (counts) => {
          committed = counts
          if (hasPassed(tracedAt ?? 0, now(), lineageMs)) trace('RUNNING', { counts })
        },
        openJudge: (_planned, pass, writer) => {
          quality = openStreamQuality(planned, {
            store: options.store,
            run: id,
            pipeline,
            mode: pass.mode,
            writer,
            now,
          })
          return quality
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
  } finally {
    requests.end()
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

/** Calls `work` for each item, so many at a time, and waits for all; a call that throws keeps further ones from beginning. */
const eachOf = async <T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> => {
  const left = items.values()
  let failed = false
  const lane = async (): Promise<void> => {
    for (const item of left) {
      if (failed) return
      try {
        await work(item)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const lanes = Array.from({ length: Math.min(atOnce, items.length) }, lane)
  const ended = await Promise.allSettled(lanes)
  const thrown = ended.find((one) => one.status === 'rejected')
  if (thrown !== undefined) throw thrown.reason
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
    const log = openLineageLog(store, lineage?.file)
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
  const log = openLineageLog(store, lineage?.file)
  const ids = await bury(store, { now, namespace, log }, ({ holder, heartbeat_at }) => {
    const fate = fateOf(holder)
    return fate === 'gone' || now() - heartbeat_at > (fate === 'there' ? silentThereMs : silentMs)
  })
  await log.close()
  return ids
}
